"""From the program to the tables of the documentation: each query's value, their means, and where those are printed."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ir_measures", reason="measuring needs the extra laterank[evaluate]")
pytest.importorskip("typer", reason="the command line needs the extra laterank[cli]")

from conftest import training_module

from laterank.cli import main
from laterank.evaluation import read_collection
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.measures import measured_values
from laterank.evaluation.statistics import summarise
from laterank.evaluation.tables import difference_text, estimate_text
from laterank.model.files import find_model

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
COLLECTIONS = ROOT.parent / "shared" / "data" / "ir"
ENCODED = 6
"""Queries that are reranked by the model: some 600 documents, a quarter of a minute on two cores."""

MET_NEVER = RESULTS / "held_out"
"""Collections that nothing about the model was chosen by."""
PUBLISHED = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))["results"]
QUERIES = json.loads((RESULTS / "quality_queries.json").read_text(encoding="utf-8"))


def folder_of(name: str) -> Path:
    """Return a collection's folder, or skip."""
    folder = COLLECTIONS / name
    if not folder.is_dir():
        pytest.skip(f"the collection {name} is not beside this checkout, in ../shared/data/ir")
    return folder


@pytest.mark.parametrize("name", ["scifact", "cacm"])
def test_the_first_stage_has_the_published_values(name: str) -> None:
    """Reading, BM25, measures and judgements are those of the table, query by query."""
    collection = read_collection(folder_of(name))
    values = measured_values(collection, bm25_candidates(collection, depth=100))
    assert values["nDCG@10"] == pytest.approx(QUERIES[name]["bm25"], abs=1e-4)
    means = {measure: round(float(np.mean(list(found.values()))), 6) for measure, found in values.items()}
    assert means == {measure: PUBLISHED[name]["bm25"][measure] for measure in values}


@pytest.mark.parametrize("folder", [RESULTS, MET_NEVER])
def test_the_published_values_are_the_bundled_model_s(folder: Path) -> None:
    """Another model wants ``benchmarks/quality.py`` run again."""
    published = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    assert published["made"]["bundled model"] == find_model().digest().hex()


def test_the_model_card_has_the_published_values() -> None:
    """Its table is what ``training/card_table.py`` makes of the benchmark's results."""
    card_table = training_module("card_table")
    published = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))
    card = card_table.CARD.read_text(encoding="utf-8")
    assert card_table.with_table(card, card_table.benchmark_table(published)) == card


def test_the_bundled_model_has_the_published_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``laterank evaluate`` gives them, for some of the queries whose value reranking changes.

    One may differ: processors round the products of INT8 rows differently, which can part documents that are nearly equal.
    """
    folder = folder_of("scifact")
    before, after = QUERIES["scifact"]["bm25"], QUERIES["scifact"]["bundled"]
    changed = sorted(query for query in before if before[query] != after[query])
    chosen = random.Random(0).sample(changed, ENCODED)
    relevant = read_collection(folder).relevant
    qrels = tmp_path / "chosen.tsv"
    lines = [
        f"{query}\t{document}\t{grade}" for query in chosen for document, grade in relevant[query].items()
    ]
    qrels.write_text("\n".join(lines), encoding="utf-8")
    assert main(["evaluate", str(folder), "--qrels-file", str(qrels), "--timed", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["systems"]
    assert found["BM25"]["queries"]["nDCG@10"] == pytest.approx({q: before[q] for q in chosen}, abs=1e-4)
    reranked = found["bundled"]["queries"]["nDCG@10"]
    assert reranked.keys() == set(chosen)
    other = {q: (reranked[q], after[q]) for q in chosen if abs(reranked[q] - after[q]) > 1e-4}
    assert len(other) <= 1, other


@pytest.mark.parametrize("name", QUERIES)
def test_the_published_means_are_those_of_the_queries(name: str) -> None:
    """So is the interval of the difference."""
    for system, values in QUERIES[name].items():
        assert np.mean(list(values.values())) == pytest.approx(PUBLISHED[name][system]["nDCG@10"], abs=1e-4)
    published = PUBLISHED[name]["bundled"]["differences"]["bm25"]["nDCG@10"]
    found = of_queries(name)["bundled"].differences["bm25"]["nDCG@10"]
    assert [found.mean, found.low, found.high] == pytest.approx(published, abs=2e-4)


def test_the_documentation_prints_what_the_queries_give() -> None:
    """The tables of every page, and the points of the plot."""
    first, model = (of_queries("scifact")[system] for system in ("bm25", "bundled"))
    mean, difference = model.means["nDCG@10"], model.differences["bm25"]["nDCG@10"]
    changes = [QUERIES["scifact"]["bundled"][q] - value for q, value in QUERIES["scifact"]["bm25"].items()]
    better, worse = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    page = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    assert f"| BM25 | {estimate_text(first.means['nDCG@10'])} |" in page
    assert f"| bundled | {estimate_text(mean)} |" in page
    assert f"| bundled | {difference_text(difference)} |" in page
    assert f"| {better} / {len(changes) - better - worse} / {worse} |" in page
    low, high = (f"{value * 100:+.1f}" for value in (difference.low, difference.high))
    plot = (ROOT / "docs" / "images" / "evaluation.svg").read_text(encoding="utf-8")
    assert f"<title>{difference.mean * 100:+.1f} {low} {high}</title>" in plot
    for name, found in ((name, of_queries(name)) for name in QUERIES):
        before, after = (f"{found[system].means['nDCG@10'].mean * 100:.1f}" for system in ("bm25", "bundled"))
        gain = difference_text(found["bundled"].differences["bm25"]["nDCG@10"]).replace(" (", ", ")
        measured = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
        [row] = [line for line in measured.splitlines() if line.startswith(f"| {name} (")]
        assert f"| {before} | {after} ({gain} |" in row
    cells = " | ".join(f"{of_queries(name)['bundled'].means['nDCG@10'].mean * 100:.1f}" for name in QUERIES)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| **+ laterank, bundled model** | {cells} |" in readme


def test_the_documentation_prints_what_the_collections_give_that_it_had_never_met() -> None:
    """Each row of the table, and the mean."""
    published = json.loads((MET_NEVER / "quality.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    section = page[page.index("### On collections that it had never met") :]
    systems = ("bm25", "bundled", "bundled-64", "answerai-colbert-small-v1-int8")
    assert len(published["collections"]) >= 6
    for name, sizes in published["collections"].items():
        values = [f"{published['results'][name][system]['nDCG@10'] * 100:.1f}" for system in systems]
        low, high = published["results"][name]["bundled"]["differences"][systems[-1]]["nDCG@10"][1:]
        cells = " | ".join([*values, f"{low * 100:+.1f} to {high * 100:+.1f}"])
        assert f"| {name} ({sizes['documents']} / {sizes['queries']}) | " in section
        assert f" | {cells} |" in section
    values = [f"**{published['mean'][system]['nDCG@10'] * 100:.1f}**" for system in systems]
    assert f"| **mean** | | {' | '.join(values)} |" in section


def of_queries(name: str) -> dict:
    """Return means and differences of one collection, as the benchmark and ``evaluate`` make them."""
    values = {system: {"nDCG@10": found} for system, found in QUERIES[name].items()}
    return summarise({name: values}, ["bm25"])[0][name]
