"""How well reranking ranks: BM25's top 100, reranked, on judged collections.

Run ``python benchmarks/quality.py --data FOLDER [--fp32 FOLDER] [--also NAME=FOLDER ...]``. Every system's values on
every collection are kept, so that a run that was stopped goes on where it was and a new model costs only itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from minilm import minilm_folder
from quality_report import Facts, Measured, write_report
from quality_systems import Bm25, CrossEncoder, LateInteraction, PooledCosine, System, Variant

from laterank import ColbertEncoder
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.evaluate import DEPTH
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.measures import MEASURES, QueryValues, measured_values
from laterank.evaluation.reading import read_collection

HERE = Path(__file__).parent
COLLECTIONS = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev")
MOST_QUERIES, SAMPLE, SAMPLE_SEED = {"squad-dev": 500}, 25, 1
VARIANTS = (
    *(Variant(dim) for dim in (96, 64, 48)),
    *(Variant(dim, pool_factor) for dim in (None, 64) for pool_factor in (2, 3)),
    *(Variant(storage=storage) for storage in ("int8", "float16", "float32")),
    Variant(64, 2, "int8"),
)
"""What is kept of the embedded model's rows: fewer numbers a token, fewer rows, fewer bits."""
ANSWERAI, CROSS_ENCODER = "answerai-colbert-small-v1-int8", "ms-marco-minilm-l12-int8"


def fingerprint(collection: Collection, candidates: Ranking) -> str:
    """Return a digest of everything that a system is given and judged by."""
    documents = {document: None for found in candidates.values() for document in found}
    texts = [collection.documents[document] for document in documents]
    given = [candidates, texts, collection.queries, collection.relevant, list(MEASURES)]
    return hashlib.blake2b(json.dumps(given).encode(), digest_size=8).hexdigest()


def measure(
    system: System, collection: Collection, candidates: Ranking, kept: Path
) -> dict[str, QueryValues]:
    """Return the values of each of a system's rankings, from the checkpoints where there are some."""
    given = fingerprint(collection, candidates)
    checkpoints = {}
    for name, identity in system.names().items():
        key = hashlib.blake2b(f"{given} {identity}".encode(), digest_size=8).hexdigest()
        checkpoints[name] = kept / f"{collection.name}.{name}.{key}.json"
    missing = [name for name, path in checkpoints.items() if not path.is_file()]
    rankings = system.sort(collection, candidates, missing) if missing else {}
    for name, ranking in rankings.items():
        values = measured_values(collection, ranking)
        kept.mkdir(parents=True, exist_ok=True)
        partial_file = checkpoints[name].with_suffix(".partial")
        partial_file.write_text(json.dumps(values), encoding="utf-8")
        partial_file.replace(checkpoints[name])
        mean = np.mean(list(values["nDCG@10"].values()))
        print(f"{collection.name:12s} {name:32s} nDCG@10 {mean:.4f}", flush=True)
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in checkpoints.items()}


def fp32_encoder(folder: Path, threads: int) -> ColbertEncoder:
    """Load a folder's full-precision graph, also under the name that our training gives it."""
    named = "model_fp32.onnx" if (folder / "model_fp32.onnx").is_file() else None
    quantized = None if named else False
    return ColbertEncoder.from_pretrained(folder, onnx_file=named, quantized=quantized, threads=threads)


def full_systems(options: argparse.Namespace) -> list[System]:
    """Make the systems that are measured with every query; what is not asked for is not even loaded."""
    threads, models = options.threads, options.models
    load = partial(ColbertEncoder.from_pretrained, threads=threads)

    def untrained() -> ColbertEncoder:
        return load(minilm_folder(options.build), config={"projected": True})

    makers: dict[str, Callable[[], System]] = {
        "bm25": Bm25,
        "minilm-pooled": lambda: PooledCosine("minilm-pooled", minilm_folder(options.build), threads),
        "minilm-maxsim": lambda: LateInteraction("minilm-maxsim", untrained),
        "bundled": lambda: LateInteraction("bundled", load, VARIANTS),
    }
    if options.fp32:
        makers["bundled-fp32"] = lambda: LateInteraction(
            "bundled-fp32", partial(fp32_encoder, options.fp32, threads)
        )
    for given in options.also:
        name, _, folder = given.partition("=")
        makers[name] = partial(LateInteraction, name, partial(load, Path(folder)), VARIANTS)
    if (models / ANSWERAI).is_dir():
        makers[ANSWERAI] = lambda: LateInteraction(ANSWERAI, partial(load, models / ANSWERAI))
    return [make() for name, make in makers.items() if not options.only or name in options.only]


def sampled_systems(options: argparse.Namespace) -> list[System]:
    """Make the systems that are too slow for every query."""
    folder = options.models / CROSS_ENCODER
    wanted = not options.only or CROSS_ENCODER in options.only
    return [CrossEncoder(CROSS_ENCODER, folder, options.threads)] if wanted and folder.is_dir() else []


def arguments() -> argparse.Namespace:
    """Read the command line."""
    shared = HERE.parent.parent / "shared"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--models", type=Path, default=shared / "models", help="folder of the other models")
    parser.add_argument("--fp32", type=Path, help="folder of the embedded model with its fp32 graph")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER", help="a further model")
    parser.add_argument("--only", action="append", default=[], help="only these systems")
    parser.add_argument("--collection", action="append", default=[], help="only these collections")
    parser.add_argument("--limit", type=int, help="at most so many queries a collection, to try it out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--build", type=Path, default=HERE / "build", help="where models and checkpoints lie")
    parser.add_argument("--results", type=Path, help="default: results/, or the build folder for a part")
    options = parser.parse_args()
    if not (options.data / "ir").is_dir():
        parser.error(f"--data {options.data}: it has no folder ir/ with collections; see docs/measured.md")
    known = {"bm25", "minilm-pooled", "minilm-maxsim", "bundled", "bundled-fp32", ANSWERAI, CROSS_ENCODER}
    for name in options.only:
        if name not in known | {given.partition("=")[0] for given in options.also}:
            parser.error(f"--only {name}: expected one of {', '.join(sorted(known))}, or an --also's name")
    for given in options.also:
        if "=" not in given or given.partition("=")[0] in known:
            parser.error(f"--also {given}: expected NAME=FOLDER with a name that no other system has")
    return options


def collections_in(folder: Path) -> list[str]:
    """Name the collections that are measured by default where any of them is there, else all that are: see held_out.py."""
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return list(COLLECTIONS) if set(COLLECTIONS) & set(found) else found


def collection_of(name: str, options: argparse.Namespace) -> Collection:
    """Read a collection with the queries that are measured."""
    collection = read_collection(options.data / "ir" / name)
    most = min(MOST_QUERIES.get(name, len(collection.queries)), options.limit or len(collection.queries))
    return collection.sample(most)


def main() -> None:
    """Measure every system on every collection and write the report."""
    options = arguments()
    full, sampled = full_systems(options), sampled_systems(options)
    facts: Facts = {}
    found: Measured = {}
    on_sample: Measured = {}
    names = options.collection or collections_in(options.data / "ir")
    for name in names:
        collection = collection_of(name, options)
        candidates = bm25_candidates(collection, DEPTH)
        facts[name] = {"documents": len(collection.documents), "queries": len(collection.queries)}
        found[name] = {}
        for system in full:
            found[name] |= measure(system, collection, candidates, options.build / "quality")
        sample = collection.sample(SAMPLE, SAMPLE_SEED)
        on_sample[name] = {
            system: {part: {query: of[query] for query in sample.queries} for part, of in values.items()}
            for system, values in found[name].items()
        }
        few = {query: candidates[query] for query in sample.queries}
        for system in sampled:
            on_sample[name] |= measure(system, sample, few, options.build / "quality")
    part = options.limit or options.only or tuple(names) != COLLECTIONS
    results = options.results or (options.build / "quality-part" if part else HERE / "results")
    write_report(results, found, on_sample if sampled else {}, facts, depth=DEPTH)
    print(f"wrote {results / 'quality.md'}")


if __name__ == "__main__":
    main()
