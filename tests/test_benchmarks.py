"""What the quality benchmark computes: cut rows, checkpoints, its report.

Where ir-measures is missing there is nothing to check.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from support_evaluation import COLLECTION

from laterank import ColbertEncoder, Reranker, SqliteCache
from laterank.evaluation.first_stage import bm25_candidates

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from quality_systems import KeptRows, LateInteraction, Variant

TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("dim", [4, 8, 16])
def test_rows_cut_and_pooled_afterwards_are_those_that_the_encoder_makes(dim: int, factor: int) -> None:
    """One encoding may stand for every size and pooling."""
    options = {"config": {"matryoshka_dims": (4, 8, 16)}, "threads": 1}
    whole = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", **options)
    short = ColbertEncoder.from_pretrained(
        GOLDEN / "bert-pylate", truncate_dim=dim, pool_factor=factor, **options
    )
    texts = [text for text in TEXTS["documents"] if text.strip()]
    encoded = dict(zip(texts, whole.encode_documents(texts), strict=True))
    kept = KeptRows(whole, encoded, dim, pool_factor=factor)
    for ours, theirs in zip(
        kept.encode_documents(texts) + kept.encode_queries(["red planet"]),
        short.encode_documents(texts) + short.encode_queries(["red planet"]),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_whole_collection_is_ranked_as_a_reranker_ranks_each_query(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The benchmark measures what users get."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=1)
    candidates = bm25_candidates(COLLECTION, depth=4)
    variants = (Variant(8), Variant(16), Variant(8, 2), Variant(pool_factor=2, storage="int8"))
    system = LateInteraction("tiny", lambda: encoder, variants)
    names = ["tiny", "tiny-8", "tiny-8-pool2", "tiny-pool2-int8"]
    assert list(system.names()) == names
    assert len(set(system.names().values())) == len(names)
    rankings = system.sort(COLLECTION, candidates, names)
    reranker = Reranker(encoder)
    pooled = Reranker(
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=1, pool_factor=2),
        cache=SqliteCache(tmp_path / "rows.sqlite", storage="int8"),
    )
    for query, found in candidates.items():
        ranked = reranker.rank(
            COLLECTION.queries[query], [COLLECTION.documents[document] for document in found]
        )
        assert rankings["tiny"][query] == [found[place.index] for place in ranked]
        ranked = pooled.rank(
            COLLECTION.queries[query], [COLLECTION.documents[document] for document in found]
        )
        assert rankings["tiny-pool2-int8"][query] == [found[place.index] for place in ranked]
        assert sorted(rankings["tiny-8"][query]) == sorted(found)
    assert "4 of 4" in capsys.readouterr().out


def test_a_checkpoint_is_used_again_and_another_model_is_measured(tmp_path: Path) -> None:
    """A run goes on where it was; a new model costs only itself."""
    pytest.importorskip("ir_measures", reason="ir-measures is in the group bench")
    from quality import measure

    class Counting:
        """Leaves candidates alone and counts its calls."""

        calls, identity = 0, "one"

        def names(self) -> dict[str, str]:
            return {"counting": self.identity}

        def sort(self, collection: object, candidates: dict, wanted: list[str]) -> dict:
            self.calls += 1
            return dict.fromkeys(wanted, candidates)

    system, candidates = Counting(), bm25_candidates(COLLECTION, depth=4)
    first = measure(system, COLLECTION, candidates, tmp_path)
    assert measure(system, COLLECTION, candidates, tmp_path) == first
    assert system.calls == 1
    system.identity = "two"
    measure(system, COLLECTION, candidates, tmp_path)
    measure(system, COLLECTION.sample(2), candidates, tmp_path)
    assert system.calls == 3


@pytest.mark.parametrize("name", ["model.onnx", "model_fp32.onnx"])
def test_the_full_precision_graph_is_taken_beside_the_quantised_one(
    name: str, copy_of: Callable[..., Path]
) -> None:
    """Also under the name that our training gives it."""
    pytest.importorskip("ir_measures", reason="ir-measures is in the group bench")
    from quality import fp32_encoder

    folder = copy_of("lighton")
    (folder / "model.onnx").rename(folder / name)
    assert fp32_encoder(folder, threads=1).files.onnx == folder / name


def test_the_report_says_what_was_measured(tmp_path: Path) -> None:
    """Means and differences are in the tables, and where the figures look for them."""
    pytest.importorskip("ir_measures", reason="the report names its version, and it is in the group bench")
    from quality_report import write_report

    values = {"bm25": 0.5, "bundled": 0.6, "bundled-64": 0.58, "bundled-64-pool2-int8": 0.57}
    measures = ("nDCG@10", "MRR@10", "Recall@10")
    found = {
        collection: {
            system: {measure: {"1": value, "2": value - 0.1} for measure in measures}
            for system, value in values.items()
        }
        for collection in ("one", "two")
    }
    facts = {name: {"documents": 10, "queries": 2} for name in found}
    slow = {name: {**systems, "slow": systems["bm25"]} for name, systems in found.items()}
    write_report(tmp_path, found, slow, facts, depth=100)
    results = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    assert results["results"]["two"]["bundled"]["nDCG@10"] == pytest.approx(0.55)
    assert results["mean"]["bundled-64"]["differences"]["bundled"]["MRR@10"] == pytest.approx([-0.02] * 3)
    assert results["sample"]["queries"] == {"one": 2, "two": 2}
    queries = json.loads((tmp_path / "quality_queries.json").read_text(encoding="utf-8"))
    assert queries["one"] == {"bm25": {"1": 0.5, "2": 0.4}, "bundled": {"1": 0.6, "2": 0.5}}
    tables = (tmp_path / "quality.md").read_text(encoding="utf-8")
    assert "| the embedded model, 64 numbers a token | 53.0 | 53.0 | 53.0 |" in tables
    assert "| the embedded model, 64 numbers a token, 2 tokens a row, int8 on disk | 52.0 | 52.0" in tables
    assert "+10.0 (+10.0 to +10.0)" in tables
    assert "| slow | 45.0 | 45.0 | 45.0 |" in tables


def test_an_early_exit_is_simulated_as_a_reranker_does_it() -> None:
    """Kept scores give the order that encoding gives, and count what it encodes."""
    pytest.importorskip("ir_measures", reason="ir-measures is in the group bench")
    from early_exit import ranked, scores_of

    from laterank.early_exit import EarlyExit

    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=1)
    candidates = bm25_candidates(COLLECTION, depth=4)
    scores = scores_of(COLLECTION, candidates, Reranker(encoder, score="sum"))
    for query, found in candidates.items():
        texts = [COLLECTION.documents[document] for document in found]
        for budget in (1, 3, 4):
            places = Reranker(encoder, cache=False).rank(COLLECTION.queries[query], texts, budget=budget)
            ours, encoded = ranked(EarlyExit(None, budget), scores[query])
            assert ours == [found[place.index] for place in places]
            assert encoded == budget


def test_the_report_of_the_early_exit_compares_to_encoding_all(tmp_path: Path) -> None:
    """Documents encoded, what is kept and the difference, for each rule."""
    pytest.importorskip("ir_measures", reason="the report names its version, and it is in the group bench")
    from early_exit_report import write_report

    def values(ndcg: float, encoded: float) -> dict[str, dict[str, float]]:
        found = {"nDCG@10": ndcg, "encoded": encoded, "kept": ndcg}
        return {measure: {"1": value, "2": value} for measure, value in found.items()}

    rules = {"all": values(1.0, 100.0), "budget=20": values(0.9, 20.0)}
    write_report(tmp_path, {"one": rules, "two": rules}, {"one": 2, "two": 2}, depth=100, top_n=10)
    report = (tmp_path / "early_exit.md").read_text(encoding="utf-8")
    assert "| budget=20 | 20 | 90.0% | 90.0 (-10.0, -10.0 to -10.0) |" in report
    results = json.loads((tmp_path / "early_exit.json").read_text(encoding="utf-8"))["results"]
    assert results["mean"]["budget=20"]["nDCG@10 - all"] == [-0.1, -0.1, -0.1]


def test_readme_has_the_numbers_of_the_last_run() -> None:
    """Each number of its tables stands in the results; where this fails after a run, README wants the new ones."""
    results = BENCHMARKS / "results"
    measured = "".join((results / name).read_text(encoding="utf-8") for name in ("quality.md", "speed.md"))
    readme = (BENCHMARKS.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]+((?:\| [\d.,* ]+)+)\|$", readme, re.MULTILINE)
    numbers = {number for row in rows for number in re.findall(r"[\d,.]+", row)}
    assert len(numbers) > 30
    assert numbers - set(re.findall(r"[\d,.]*\d", measured)) == set()
