"""Whether reranking helps: the measures, their intervals, and the whole way from files to a table."""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from math import comb
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from support_evaluation import COLLECTION

from laterank import InputError, Reranker
from laterank.errors import CollectionError, MissingPackageError
from laterank.evaluation import Collection, Evaluation, evaluate
from laterank.evaluation.first_stage import bm25_candidates, first_stage, run_candidates
from laterank.evaluation.measures import measured_values
from laterank.evaluation.models import named_rerankers
from laterank.evaluation.plot import _axis
from laterank.evaluation.reranking import rerank_collection
from laterank.evaluation.statistics import Estimate, resampled_means, summarise


def of_queries(values: list[float]) -> dict[str, dict[str, float]]:
    """Return one measure's values by query."""
    return {"nDCG@10": {str(number): value for number, value in enumerate(values)}}


@pytest.fixture(scope="module")
def bundled() -> Reranker:
    """Return the model inside the wheel."""
    return Reranker.from_pretrained(threads=1)


@pytest.fixture(scope="module")
def evaluation(bundled: Reranker) -> Evaluation:
    """Return one evaluation of two settings of a model."""
    small = Reranker.from_pretrained(truncate_dim=48, threads=1)
    return evaluate(COLLECTION, {"whole": bundled, "cut": small}, depth=4, timed_queries=2)


# --- intervals ----------------------------------------------------------------------------------------------------


def binomial_quantile(count: int, probability: float, share: float) -> int:
    """Return the least number of successes that is reached with the given share, by the definition."""
    masses = (comb(count, k) * probability**k * (1 - probability) ** (count - k) for k in range(count + 1))
    return next(k for k, reached in enumerate(accumulate(masses)) if reached >= share)


@pytest.mark.parametrize("better", [10, 20, 32])
def test_the_interval_of_a_share_is_the_binomial_distributions(better: int) -> None:
    """Where a system wins some of 40 queries and ties the rest, a resample's wins are binomial."""
    ours, base = [1.0] * better + [0.0] * (40 - better), [0.0] * 40
    found, _ = summarise({"c": {"ours": of_queries(ours), "base": of_queries(base)}}, ["base"])
    difference, mean = found["c"]["ours"].differences["base"]["nDCG@10"], found["c"]["ours"].means["nDCG@10"]
    assert difference == mean  # the other system has 0 everywhere
    assert difference.mean == pytest.approx(better / 40)
    for bound, share in ((difference.low, 0.025), (difference.high, 0.975)):
        assert bound == pytest.approx(binomial_quantile(40, better / 40, share) / 40, abs=1 / 40 + 1e-9)


def test_the_bootstrap_is_paired() -> None:
    """A system that is better by the same amount everywhere has no uncertainty, however much the queries differ."""
    base = np.random.default_rng(1).random(50).tolist()
    ours = [value + 0.1 for value in base]
    found, _ = summarise({"c": {"ours": of_queries(ours), "base": of_queries(base)}}, ["base"])
    difference, mean = found["c"]["ours"].differences["base"]["nDCG@10"], found["c"]["ours"].means["nDCG@10"]
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert mean.high - mean.low > 0.1


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
    with pytest.raises(InputError, match="other queries"):
        summarise({"c": systems}, ["base"])


# --- measures -----------------------------------------------------------------------------------------------------


def test_measures_follow_their_definitions() -> None:
    """A query that found nothing counts as 0, and grades weigh as trec_eval weighs them."""
    rankings = {"1": ["venus", "jupiter", "mars"], "2": ["venus"]}
    values = measured_values(
        COLLECTION, rankings, ["nDCG@10", "MRR@10", "Recall@2", "P@2", "Success@1", "MAP"]
    )
    gain = (1 / np.log2(3) + 2 / np.log2(4)) / (2 / np.log2(2) + 1 / np.log2(3))
    assert values["nDCG@10"] == pytest.approx({"1": gain, "2": 1.0, "3": 0.0})
    assert values["MRR@10"] == pytest.approx({"1": 0.5, "2": 1.0, "3": 0.0})
    assert values["Recall@2"] == pytest.approx({"1": 0.5, "2": 1.0, "3": 0.0})
    assert values["P@2"] == pytest.approx({"1": 0.5, "2": 0.5, "3": 0.0})
    assert values["Success@1"] == pytest.approx({"1": 0.0, "2": 1.0, "3": 0.0})
    assert values["MAP"] == pytest.approx({"1": (1 / 2 + 2 / 3) / 2, "2": 1.0, "3": 0.0})


@pytest.mark.parametrize(
    "names", [["nDGC@10"], ["Recall"], ["nDCG@0"], ["nDCG@x"], [], "nDCG@10", ["MRR@5", "mrr@5"]]
)
def test_a_measure_that_is_none_is_refused(names: list[str]) -> None:
    """Before anything is encoded."""
    with pytest.raises(InputError, match=r"measure"):
        evaluate(COLLECTION, "there-is-no-such-model", measures=names)


# --- first stages -------------------------------------------------------------------------------------------------


def test_a_sample_is_the_same_every_time_and_judged_alike() -> None:
    """It has the asked number of queries, and their judgements."""
    one, other = COLLECTION.sample(2, seed=5), COLLECTION.sample(2, seed=5)
    assert one.queries == other.queries
    assert len(one.queries) == 2
    assert one.relevant == {query: COLLECTION.relevant[query] for query in one.queries}
    assert one.documents == COLLECTION.documents
    assert COLLECTION.sample(3) is COLLECTION
    with pytest.raises(InputError, match="expected at least 1"):
        COLLECTION.sample(0)


def test_bm25_finds_the_words_of_the_query_first() -> None:
    """Over the whole collection, as many as there are."""
    found = bm25_candidates(COLLECTION, depth=2)
    assert {query: documents[0] for query, documents in found.items()} == {
        "1": "mars",
        "2": "venus",
        "3": "rose",
    }
    assert {len(documents) for documents in found.values()} == {2}
    assert {len(documents) for documents in bm25_candidates(COLLECTION, depth=9).values()} == {4}


def test_a_run_is_cut_at_the_depth_and_missing_queries_are_told() -> None:
    """A query that the first stage answered with nothing counts, as 0."""
    run = {"1": ["rose", "mars", "venus"], "3": ["rose"], "unasked": ["venus"]}
    candidates, notes = run_candidates(COLLECTION, run, depth=2)
    assert candidates == {"1": ["rose", "mars"], "2": [], "3": ["rose"]}
    assert notes == ("Queries that the run has no documents for: 1, such as 2",)


def test_scores_of_a_run_decide_its_order() -> None:
    """As in a run file, whatever order the results of a search are in; equal ones stay as they are."""
    run = {"1": {"venus": 1.0, "mars": 2.0, "rose": 3.0}, "2": {"rose": 1.0, "venus": 1.0, "mars": 1.0}}
    stage = first_stage(COLLECTION, run, depth=2)
    assert stage.candidates == {"1": ["rose", "mars"], "2": ["rose", "venus"], "3": []}
    assert stage.scores == {"1": [3.0, 2.0], "2": [1.0, 1.0], "3": []}


@pytest.mark.parametrize(
    ("run", "said"),
    [({"1": ["pluto"]}, "'pluto' of query '1'"), ({"9": ["mars"]}, "has none of the queries")],
)
def test_a_run_of_another_collection_is_refused(run: dict[str, list[str]], said: str) -> None:
    """A document without a text cannot be reranked."""
    with pytest.raises(CollectionError, match=said):
        run_candidates(COLLECTION, run, depth=2)


# --- models -------------------------------------------------------------------------------------------------------


def test_models_go_by_the_names_that_they_were_given(bundled: Reranker, copy_of: Callable[..., Path]) -> None:
    """A name with settings makes another model of the same files."""
    folder = copy_of("bert-pylate")
    found = named_rerankers(["bundled,truncate_dim=48,threads=1", folder, bundled])
    assert list(found) == ["bundled,truncate_dim=48,threads=1", folder.name, "bundled"]
    assert [found[name].encoder.dim for name in ("bundled,truncate_dim=48,threads=1", "bundled")] == [48, 96]
    assert found["bundled"] is bundled


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([], "there is no model"),
        (["bundled,threads=1", "bundled,threads=1"], "two models are called"),
        ("bundled,size=3", "setting 'size=3'; expected one of truncate_dim"),
        ("bundled,truncate_dim=many", "setting 'truncate_dim=many'"),
        ("bundled,quantized", "setting 'quantized'"),
    ],
)
def test_models_that_cannot_be_told_apart_or_made_are_refused(models: object, said: str) -> None:
    """Naming what was given and what is expected."""
    with pytest.raises(InputError, match=said):
        named_rerankers(models)


def test_a_collection_is_ranked_as_a_reranker_ranks_each_query(bundled: Reranker) -> None:
    """What is measured is what users get."""
    candidates = bm25_candidates(COLLECTION, depth=3)
    told: list[int] = []
    rankings = rerank_collection(bundled, COLLECTION, candidates, tell=told.append)
    for query, found in candidates.items():
        ranked = bundled.rank(
            COLLECTION.queries[query], [COLLECTION.documents[document] for document in found]
        )
        assert rankings[query] == [found[place.index] for place in ranked]
    assert sum(told) == len(COLLECTION.queries)


# --- the whole way ------------------------------------------------------------------------------------------------


def test_every_system_is_measured_by_what_it_ranks(evaluation: Evaluation, bundled: Reranker) -> None:
    """The first stage before, each model after, and the differences between them."""
    first, whole, cut = evaluation.systems
    assert [first.name, whole.name, cut.name] == ["BM25", "whole", "cut"]
    candidates = bm25_candidates(COLLECTION, depth=4)
    assert first.values == measured_values(COLLECTION, candidates)
    assert whole.values == measured_values(COLLECTION, rerank_collection(bundled, COLLECTION, candidates))
    for measure in evaluation.measures:
        means = [np.mean(list(system.values[measure].values())) for system in (first, whole, cut)]
        assert [system.means[measure].mean for system in (first, whole, cut)] == pytest.approx(means)
        assert whole.differences["BM25"][measure].mean == pytest.approx(means[1] - means[0])
        assert cut.differences["whole"][measure].mean == pytest.approx(means[2] - means[1])
    assert evaluation.reachable == 1


def test_times_are_of_new_documents_and_of_cached_ones(evaluation: Evaluation) -> None:
    """Of as many queries as asked, for the models only."""
    first, *models = evaluation.systems
    assert first.timing is None
    for model in models:
        assert model.timing is not None
        assert (len(model.timing.cold_seconds), len(model.timing.warm_seconds)) == (2, 2)
        assert model.timing.documents == 4
        assert min(model.timing.cold_seconds + model.timing.warm_seconds) > 0


def test_timing_leaves_the_rerankers_cache_alone(bundled: Reranker) -> None:
    """A cold query is one of an empty cache, and yet nothing is forgotten."""
    before = bundled.cache
    evaluate(COLLECTION, bundled, queries=1, timed_queries=1)
    assert bundled.cache is before


def test_a_first_stage_of_the_callers_is_reranked(bundled: Reranker, tmp_path: Path) -> None:
    """As a run file, or as rankings."""
    run = {"1": ["rose", "mars"], "2": ["mars", "venus"], "3": ["venus", "rose"]}
    lines = [
        f"{query} Q0 {document} {rank} {10 - rank} mine"
        for query, documents in run.items()
        for rank, document in enumerate(documents, start=1)
    ]
    path = tmp_path / "mine.run"
    path.write_text("\n".join(lines), encoding="utf-8")
    by_file = evaluate(COLLECTION, bundled, run=path, timed_queries=0)
    by_ranking = evaluate(COLLECTION, bundled, run=run, timed_queries=0)
    assert by_file.first_stage == "mine.run"
    assert by_file.systems[0].values["MRR@10"] == {"1": 0.5, "2": 0.5, "3": 0.5}
    assert by_file.systems[1].values == by_ranking.systems[1].values
    assert by_file.systems[1].timing is None
    assert by_file.reachable == pytest.approx((1 / 2 + 1 + 1) / 3)


def test_a_sample_says_so(bundled: Reranker) -> None:
    """Numbers of some queries are not those of all."""
    found = evaluate(COLLECTION, bundled, queries=2, timed_queries=0)
    assert found.queries == 2
    assert "A sample of 2 of the 3 queries was measured, drawn with a fixed seed" in found.notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"depth": 0}, "depth is 0"),
        ({"queries": 0}, "queries is 0"),
        ({"timed_queries": -1}, "timed_queries is -1"),
    ],
)
def test_numbers_that_cannot_work_are_refused(options: dict[str, int], said: str, bundled: Reranker) -> None:
    """With what was given."""
    with pytest.raises(InputError, match=said):
        evaluate(COLLECTION, bundled, **options)


def test_what_nobody_judged_cannot_be_evaluated(bundled: Reranker) -> None:
    """But compared."""
    unjudged = Collection("tiny", COLLECTION.documents, COLLECTION.queries)
    with pytest.raises(InputError, match=r"no judgements; compare\(\) does without"):
        evaluate(unjudged, bundled)


def test_a_model_called_as_the_first_stage_is_refused(bundled: Reranker) -> None:
    """One would overwrite the other."""
    with pytest.raises(InputError, match="a model is called 'BM25'"):
        evaluate(COLLECTION, {"BM25": bundled})


@pytest.mark.parametrize(
    ("package", "said"), [("ir_measures", "measuring needs"), ("bm25s", "BM25 as the first stage")]
)
def test_a_missing_extra_says_what_to_install(
    package: str, said: str, monkeypatch: pytest.MonkeyPatch, bundled: Reranker
) -> None:
    """Where importing fails, as it does without the extra."""
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"{said}.*pip install 'laterank\[evaluate\]'"):
        evaluate(COLLECTION, bundled)


@pytest.mark.parametrize(
    ("options", "alike"),
    [
        ({"fusion": "rrf", "fusion_weight": 0}, 0),
        ({"fusion": "rrf", "fusion_weight": 1}, 1),
        ({"fusion": "weighted", "fusion_weight": 1}, 1),
        ({"budget": 4}, 1),
        ({"patience": 4, "top_n": 10}, 1),
    ],
)
def test_options_of_no_effect_change_nothing(
    bundled: Reranker, options: dict[str, object], alike: int
) -> None:
    """All weight on one side is that side, and a limit that is never met is none."""
    first, alone, mixed = evaluate(COLLECTION, bundled, timed_queries=0, **options).systems
    assert mixed.values == (first, alone)[alike].values


def test_an_early_exit_is_measured_with_an_empty_cache(bundled: Reranker) -> None:
    """Every query reads one document only, the first, whatever was read before; then the first stage's order is kept."""
    found = evaluate(COLLECTION, bundled, budget=1, timed_queries=0)
    assert found.systems[2].values == found.systems[0].values
    assert any("began with an empty cache" in note for note in found.notes)


def test_a_weighted_fusion_needs_scores_of_the_run(bundled: Reranker) -> None:
    """Which a mapping may have."""
    run = {"1": ["rose", "mars"], "2": ["mars", "venus"], "3": ["venus", "rose"]}
    with pytest.raises(InputError, match="the run has no scores"):
        evaluate(COLLECTION, bundled, run=run, fusion="weighted")
    scored = {query: {documents[0]: 2.0, documents[1]: 1.0} for query, documents in run.items()}
    found = evaluate(COLLECTION, bundled, run=scored, fusion="weighted", fusion_weight=0, timed_queries=0)
    assert found.systems[2].values == found.systems[0].values


# --- faces --------------------------------------------------------------------------------------------------------


def test_the_tables_hold_every_mean_and_difference(evaluation: Evaluation) -> None:
    """Times 100, with their intervals."""
    text = evaluation.to_markdown()
    assert "3 queries, 4 documents." in text
    for system in evaluation.systems:
        means = [system.means[measure] for measure in evaluation.measures]
        cells = [
            f"{found.mean * 100:.1f} ({found.low * 100:.1f} to {found.high * 100:.1f})" for found in means
        ]
        assert f"| {system.name} | {' | '.join(cells)} |" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Difference to BM25",
        "Difference to whole",
        "Time per query",
        "How it was measured",
    ]


def test_json_gives_back_what_was_measured(evaluation: Evaluation) -> None:
    """Also every query's values."""
    found = json.loads(json.dumps(evaluation.to_dict()))
    assert list(found["systems"]) == ["BM25", "whole", "cut"]
    whole = found["systems"]["whole"]
    estimate = evaluation.systems[1].means["nDCG@10"]
    assert whole["nDCG@10"] == pytest.approx([estimate.mean, estimate.low, estimate.high], abs=1e-6)
    assert whole["queries"]["nDCG@10"] == pytest.approx(evaluation.systems[1].values["nDCG@10"], abs=1e-6)
    assert whole["timing"]["queries"] == 2


def test_the_plot_has_a_point_for_every_estimate(evaluation: Evaluation) -> None:
    """Well-formed, every point within the picture and between the ends of its interval."""
    root = ET.fromstring(evaluation.to_svg())
    space = "{http://www.w3.org/2000/svg}"
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    points = root.findall(f".//{space}circle")
    assert len(points) == 3 * (3 + 2)
    for group in root.iter(f"{space}g"):
        point = group.find(f"{space}circle")
        low, high = map(
            float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", group.find(f"{space}path").attrib["d"]).groups()
        )
        assert 0 <= low <= float(point.attrib["cx"]) + 0.1
        assert float(point.attrib["cx"]) - 0.1 <= high <= width
        assert 0 <= float(point.attrib["cy"]) <= height


def test_the_plot_has_a_ground_of_its_own(evaluation: Evaluation) -> None:
    """Readable on any page: no viewer has to know CSS backgrounds, and one without a box has a size to go by."""
    root = ET.fromstring(evaluation.to_svg())
    ground = root.find("{http://www.w3.org/2000/svg}rect")
    size = [str(int(number)) for number in root.attrib["viewBox"].split()[2:]]
    assert ground.attrib["class"] == "lp-paper"
    assert [ground.attrib["width"], ground.attrib["height"]] == size
    assert [root.attrib["width"], root.attrib["height"]] == size


def test_an_axis_of_equal_values_has_round_numbers() -> None:
    """Such as the differences of a model that never changes the order."""
    axis = _axis([Estimate(0.0, 0.0, 0.0)], 0, 100, zero=True)
    assert axis.ticks == (-1, -0.5, 0, 0.5, 1)
    assert axis.at(0) == 50


def test_the_page_loads_nothing_and_is_what_a_notebook_shows(evaluation: Evaluation) -> None:
    """Sentences, tables and plot, on a ground of their own."""
    whole = evaluation.to_html()
    assert evaluation._repr_html_() in whole
    assert "default-src &#x27;none&#x27;" in whole
    assert whole.count("<table>") == 4
    assert whole.count("<svg") == 1


def test_names_are_text_on_every_face(bundled: Reranker) -> None:
    """A model may be called anything."""
    name = "<b>a|b</b>"
    found = evaluate(COLLECTION, {name: bundled}, timed_queries=0)
    assert "<b>" not in found._repr_html_()
    assert "&lt;b&gt;a|b&lt;/b&gt;" in found._repr_html_()
    assert name in "".join(ET.fromstring(found.to_svg()).itertext())
    assert "| <b>a\\|b</b> |" in found.to_markdown()


def test_files_are_written_in_the_format_of_their_names(evaluation: Evaluation, tmp_path: Path) -> None:
    """Into folders that are made."""
    paths = [tmp_path / "new" / f"found{ending}" for ending in (".json", ".md", ".html", ".svg")]
    evaluation.save(*paths)
    texts = [path.read_text(encoding="utf-8") for path in paths]
    assert json.loads(texts[0]) == json.loads(json.dumps(evaluation.to_dict()))
    assert texts[1:] == [evaluation.to_markdown(), evaluation.to_html(), evaluation.to_svg()]
    with pytest.raises(
        InputError, match=r"found\.png has no known ending; expected one of \.json, \.md, \.html, \.svg"
    ):
        evaluation.save(tmp_path / "found.png")
    with pytest.raises(InputError, match="cannot be written"):
        evaluation.save(paths[0] / "found.md")
