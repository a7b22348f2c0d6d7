"""What the quality benchmark computes: intervals, samples, cut rows.

The source distribution leaves ``benchmarks/`` out, and ir-measures is in the group ``bench`` alone: where one of them is
missing there is nothing to check.
"""

import json
import sys
from collections.abc import Callable
from itertools import accumulate
from math import comb
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN

from laterank import ColbertEncoder, Reranker

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are in the repository only", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

from judged import Collection, bm25_candidates
from quality_statistics import resampled_means, summarise
from quality_systems import KeptRows, LateInteraction

TEXTS = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
COLLECTION = Collection(
    "tiny",
    documents={
        "mars": "Mars is called the Red Planet.",
        "venus": "Venus is Earth's twin, a planet of heat.",
        "jupiter": "Jupiter has a red spot.",
        "rose": "A rose is a rose.",
    },
    queries={"1": "Which planet is red?", "2": "Which planet is Earth's twin?", "3": "What is a rose?"},
    relevant={"1": {"mars": 2, "jupiter": 1}, "2": {"venus": 1}, "3": {"rose": 1}},
)


def of_queries(values: list[float]) -> dict[str, dict[str, float]]:
    """Return one measure's values as the benchmark keeps them."""
    return {"nDCG@10": {str(number): value for number, value in enumerate(values)}}


def binomial_quantile(count: int, probability: float, share: float) -> int:
    """Return the least number of successes that is reached with the given share, by the definition."""
    masses = (comb(count, k) * probability**k * (1 - probability) ** (count - k) for k in range(count + 1))
    return next(k for k, reached in enumerate(accumulate(masses)) if reached >= share)


@pytest.mark.parametrize("better", [10, 20, 32])
def test_the_interval_of_a_share_is_the_binomial_distributions(better: int) -> None:
    """Where a system wins some of 40 queries and ties the rest, a resample's wins are binomial."""
    ours, base = [1.0] * better + [0.0] * (40 - better), [0.0] * 40
    found, _ = summarise({"c": {"ours": of_queries(ours), "base": of_queries(base)}}, ["base"])
    difference = found["c"]["ours"].differences["base"]["nDCG@10"]
    assert difference.mean == pytest.approx(better / 40)
    for bound, share in ((difference.low, 0.025), (difference.high, 0.975)):
        assert bound == pytest.approx(binomial_quantile(40, better / 40, share) / 40, abs=1 / 40 + 1e-9)


def test_the_bootstrap_is_paired() -> None:
    """A system that is better by the same amount everywhere has no uncertainty, however much the queries differ."""
    base = np.random.default_rng(1).random(50).tolist()
    ours = [value + 0.1 for value in base]
    found, _ = summarise({"c": {"ours": of_queries(ours), "base": of_queries(base)}}, ["base"])
    difference = found["c"]["ours"].differences["base"]["nDCG@10"]
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_mean_draws_within_each_collection() -> None:
    """Collections weigh alike whatever their size, and the mean's variance is that of the sum over their number."""
    random = np.random.default_rng(2)
    sizes = {"small": 30, "large": 900}
    values = {name: random.normal(0.1, 0.3, size) for name, size in sizes.items()}
    collections = {
        name: {"ours": of_queries(found.tolist()), "base": of_queries([0.0] * len(found))}
        for name, found in values.items()
    }
    _, mean = summarise(collections, ["base"])
    difference = mean["ours"].differences["base"]["nDCG@10"]
    expected = np.mean([found.mean() for found in values.values()])
    error = np.sqrt(sum(found.var() / len(found) for found in values.values())) / 2
    assert difference.mean == pytest.approx(expected)
    assert difference.low == pytest.approx(expected - 1.96 * error, abs=0.1 * error)
    assert difference.high == pytest.approx(expected + 1.96 * error, abs=0.1 * error)


def test_the_same_seed_draws_the_same_resamples() -> None:
    """An interval can be had again."""
    values = np.random.default_rng(3).random((20, 2))
    one, other = (resampled_means(values, seed=[0], resamples=2_500) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (2_500, 2)


def test_systems_measured_with_other_queries_are_refused() -> None:
    """A difference between means of different queries means nothing."""
    systems = {"ours": of_queries([1.0, 0.0]), "base": of_queries([1.0])}
    with pytest.raises(ValueError, match="other queries"):
        summarise({"c": systems}, ["base"])


def test_a_sample_is_the_same_every_time_and_judged_alike() -> None:
    """It has the asked number of queries, and their judgements."""
    one, other = COLLECTION.sample(2, seed=5), COLLECTION.sample(2, seed=5)
    assert one.queries == other.queries
    assert len(one.queries) == 2
    assert one.relevant == {query: COLLECTION.relevant[query] for query in one.queries}
    assert one.documents == COLLECTION.documents
    assert COLLECTION.sample(3) is COLLECTION


@pytest.mark.parametrize("dim", [4, 8, 16])
def test_rows_cut_afterwards_are_those_that_the_encoder_cuts(dim: int) -> None:
    """One encoding may stand for every size."""
    given = {"matryoshka_dims": (4, 8, 16)}
    whole = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", config=given, threads=1)
    short = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", config=given, truncate_dim=dim, threads=1)
    texts = [text for text in TEXTS["documents"] if text.strip()]
    kept = KeptRows(whole, dict(zip(texts, whole.encode_documents(texts), strict=True)), dim)
    for ours, theirs in zip(
        kept.encode_documents(texts) + kept.encode_queries(["red planet"]),
        short.encode_documents(texts) + short.encode_queries(["red planet"]),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_whole_collection_is_ranked_as_a_reranker_ranks_each_query(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The benchmark measures what users get."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=1)
    candidates = bm25_candidates(COLLECTION, depth=4)
    system = LateInteraction("tiny", lambda: encoder, dims=(8,))
    assert list(system.names()) == ["tiny", "tiny-8"]
    rankings = system.sort(COLLECTION, candidates, ["tiny", "tiny-8"])
    reranker = Reranker(encoder)
    for query, found in candidates.items():
        ranked = reranker.rank(
            COLLECTION.queries[query], [COLLECTION.documents[document] for document in found]
        )
        assert rankings["tiny"][query] == [found[place.index] for place in ranked]
        assert sorted(rankings["tiny-8"][query]) == sorted(found)
    assert "4 of 4" in capsys.readouterr().out


def test_measures_follow_their_definitions() -> None:
    """A query that found nothing counts as 0, and grades weigh as trec_eval weighs them."""
    pytest.importorskip("ir_measures", reason="ir-measures is in the group bench")
    from quality import evaluate

    values = evaluate(COLLECTION, {"1": ["venus", "jupiter", "mars"], "2": ["venus"]})
    gain = (1 / np.log2(3) + 2 / np.log2(4)) / (2 / np.log2(2) + 1 / np.log2(3))
    assert values["nDCG@10"] == pytest.approx({"1": gain, "2": 1.0, "3": 0.0})
    assert values["MRR@10"] == pytest.approx({"1": 0.5, "2": 1.0, "3": 0.0})
    assert values["Recall@10"] == pytest.approx({"1": 1.0, "2": 1.0, "3": 0.0})


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

    values = {"bm25": 0.5, "bundled": 0.6, "bundled-64": 0.58}
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
    tables = (tmp_path / "quality.md").read_text(encoding="utf-8")
    assert "| the embedded model, 64 numbers a token | 53.0 | 53.0 | 53.0 |" in tables
    assert "+10.0 (+10.0 to +10.0)" in tables
    assert "| slow | 45.0 | 45.0 | 45.0 |" in tables
