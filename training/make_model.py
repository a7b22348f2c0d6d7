"""Make the embedded default model from nothing: weights, examples, teacher, training, export, measurements, card."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from bundle import MODEL_FILE, replace_bundle, write_bundle
from card import UNTRAINED, training_text, write_card
from data import Example, build, read_examples
from encode import OnnxEncoder
from export import check_export, export, numpy_weights
from head import principal_head
from measure import judged_scores
from model import ColbertModel, load_encoder
from select_model import best_average
from source import fetch_source
from tokens import ColbertTokenizer, Layout
from train import trained_model

DIM = 96
LAYOUT = Layout(query_length=128, document_length=300, do_query_expansion=False)
SHIPPED = Path(__file__).parent.parent / "src" / "laterank" / "model" / "bundled"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(__file__).parent.parent.parent / "shared"
    parser.add_argument(
        "--data", type=Path, default=shared / "data", help="folder with text/, train/ and ir/"
    )
    parser.add_argument("--teacher", type=Path, default=shared / "models" / "ms-marco-minilm-l12-int8")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="caches and checkpoints; run again to resume"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--untrained", action="store_true", help="stop at the projected starting weights")
    parser.add_argument(
        "--fp32", action="store_true", help="measure the fp32 graph on the judged collections too"
    )
    parser.add_argument(
        "--ship", action="store_true", help="replace the files in the package when every check passes"
    )
    return parser.parse_args()


def calibration_rows(examples: list[Example], tokenizer: ColbertTokenizer) -> list[list[int]]:
    """Draw training documents and queries to fit the projection and the INT8 ranges on."""
    documents = random.Random(1).sample([text for made in examples for text in made.documents], 800)
    return tokenizer.documents(documents, 160) + tokenizer.queries([made.query for made in examples[:400]])


def starting_model(source: Path, rows: list[list[int]], tokenizer: ColbertTokenizer) -> ColbertModel:
    """Load the published encoder and fit the projection."""
    model = load_encoder(source / "model.safetensors", DIM).eval()
    principal_head(model, rows, [tokenizer.kept(row) for row in rows])
    return model


def make(
    options: argparse.Namespace, source: Path, tokenizer: ColbertTokenizer
) -> tuple[ColbertModel, str, list[list[int]], list[Example]]:
    """Return the model to ship, how it came about, the rows that calibrate INT8, and the development queries."""
    train_set, dev = (read_examples(options.work / f"{name}.jsonl") for name in ("train", "dev"))
    rows = calibration_rows(train_set, tokenizer)
    start = starting_model(source, rows, tokenizer)
    ranges = rows[:400] + rows[-100:]
    if options.untrained:
        return start, UNTRAINED, ranges, dev
    end = trained_model(start, tokenizer, train_set, options.teacher, options.work)
    model, share, selection = best_average(start, end, tokenizer, ranges, dev, options.work, options.threads)
    return model, training_text(share, selection), ranges, dev


def main() -> None:
    """Run every stage; each keeps its result in the work folder, so a second run continues."""
    options = arguments()
    out = options.work / ("untrained" if options.untrained else "trained")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # work is shared among Python threads, each on one core
    source = fetch_source(options.work)
    build(options.data, options.work)
    tokenizer = ColbertTokenizer(source / "tokenizer.json", LAYOUT)
    model, recipe, ranges, dev = make(options, source, tokenizer)
    paths = export(model, ranges, out)
    unseen = tokenizer.documents([text for made in dev[::8] for text in made.documents[:5]])
    facts = check_export(model, paths, tokenizer, unseen)
    print(json.dumps(facts), flush=True)
    systems: dict[str, OnnxEncoder | None] = {"BM25": None}
    systems["this model (INT8)"] = OnnxEncoder(paths[1], tokenizer, options.threads)
    if options.fp32:
        systems["this model (fp32)"] = OnnxEncoder(paths[0], tokenizer, options.threads)
    table = judged_scores(options.data / "ir", systems, out / "judged.json")
    write_bundle(source, out / "bundle", paths[1].read_bytes(), numpy_weights(model), LAYOUT)
    write_card(out / "bundle", facts, table, recipe, LAYOUT, DIM)
    if options.ship:
        replace_bundle(out / "bundle", SHIPPED)
        print(f"shipped {MODEL_FILE} to {SHIPPED}")


if __name__ == "__main__":
    main()
