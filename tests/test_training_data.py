"""What training reads: nothing of the judged collections, and in no stage what models are chosen on."""

import gzip
import json
import random
from pathlib import Path
from types import ModuleType

import pytest
from conftest import training_module
from support_training import (
    JUDGED,
    prose,
    runs_of_13,
    sentence,
    write_data,
    write_lines,
    write_more_text,
    write_pairs,
)

from laterank.errors import CollectionError
from laterank.evaluation import Collection

MARK = "Zyxwv zyxwu zyxwt zyxws"
"""Words of every query, so that BM25 puts documents with them first."""


@pytest.fixture(scope="module")
def data() -> ModuleType:
    """Import ``training/data.py``."""
    return training_module("data")


@pytest.fixture(scope="module")
def built(data: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a work folder with examples of all kinds and the passages, made from a small folder."""
    given, work = (tmp_path_factory.mktemp(name) for name in ("data", "work"))
    write_data(given)
    more_text = write_more_text(work / "text")
    data.build(given, work)
    technical = training_module("technical")
    technical.build_technical(more_text, given, work)
    technical.build_abstracts(more_text, given, work)
    training_module("passages").build_passages(given, more_text, work)
    return work


def examples(place: Path) -> list[dict]:
    """Read examples as plain JSON."""
    return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]


def test_no_candidate_shares_13_words_with_a_judged_collection(data: ModuleType, tmp_path: Path) -> None:
    """Not even one that answers nothing: a training query would still learn that it does not."""
    given, rng = write_data(tmp_path / "data"), random.Random(2)
    stolen = f"{prose(rng)} {MARK}"
    write_pairs(given / "ir" / "wikiqa-test", {sentence(rng, 6): stolen})
    pairs = {f"{sentence(rng, 6)} {MARK}": prose(rng) for _ in range(24)}
    write_pairs(given / "train" / "wikiqa-train", pairs, others=[f"{MARK} {stolen}", f"{MARK} {prose(rng)}"])
    data.build(given, tmp_path)
    found = [one for one in examples(tmp_path / "train.jsonl") if one["source"] == "wikiqa"]
    assert len(found) == 12
    for one in found:
        assert sum(text.startswith(MARK) for text in one["documents"]) == 1  # the other one was a candidate
        assert not any(runs_of_13(text) & runs_of_13(stolen) for text in one["documents"])
        assert [one["documents"][place] for place in one["relevant"]] == [pairs[one["query"]]]


def test_a_collection_loses_documents_and_the_queries_they_answer() -> None:
    """What stays is what was there, with the same judgements."""
    hold_out, rng = training_module("hold_out"), random.Random(3)
    texts = [prose(rng) for _ in range(4)]
    whole = Collection(
        "pairs",
        documents=dict(zip("abcd", texts, strict=True)),
        queries={"1": "Whose is it?", "2": "What else?", "3": "asked there", "4": "And now?"},
        relevant={"1": {"a": 1}, "2": {"b": 1, "c": 2}, "3": {"c": 1}, "4": {"c": 1, "d": 1}},
    )
    held_out = hold_out.HeldOut.of([f"Before. {texts[1]}"], ["Asked there?"])
    left = hold_out.without(whole, held_out)
    assert left.documents == {key: whole.documents[key] for key in "acd"}
    assert left.queries == {key: whole.queries[key] for key in "14"}
    assert left.relevant == {key: whole.relevant[key] for key in "14"}
    assert len(whole.documents) == len(whole.queries) == 4


def test_no_development_text_or_query_is_in_a_passage(built: Path) -> None:
    """Of no kind: stage one must not read what models are chosen on."""
    dev = [one for place in built.glob("*dev.jsonl") for one in examples(place)]
    assert {one["source"] for one in dev} == {
        "wikipedia-section",
        "wikipedia-sentence",
        "wikipedia-sibling",
        "medquad",
        "wikiqa",
        "technical-sentence",
        "abstract",
    }
    with gzip.open(built / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        passages = [json.loads(line) for line in lines]
    assert len(passages) > 50
    held_out = set().union(*(runs_of_13(text) for one in dev for text in one["documents"]))
    queries = {one["query"].lower() for one in dev}
    for text, query in passages:
        assert not runs_of_13(text) & held_out
        assert query.lower() not in queries
        assert not [sought for sought in queries if sought in text.lower()]


def test_a_small_folder_gives_fewer_queries(built: Path) -> None:
    """Of every kind, each with as many candidates as the teacher's table has columns."""
    train = [one for place in built.glob("*train.jsonl") for one in examples(place)]
    assert len({one["source"] for one in train}) == 7
    assert {len(one["documents"]) for one in train} == {8}


def test_a_folder_without_text_is_refused(data: ModuleType, tmp_path: Path) -> None:
    given = write_data(tmp_path / "data")
    write_lines(given / "text" / "wikipedia.jsonl.gz", [])
    for name in ("medquad", "wikiqa-train"):
        write_pairs(given / "train" / name, {"alone": "An answer."})
    with pytest.raises(ValueError, match="gives 0 training and 0 development queries"):
        data.build(given, tmp_path)
    assert not (tmp_path / "dev.jsonl").exists()


@pytest.mark.parametrize("name", JUDGED)
def test_without_a_judged_collection_nothing_is_built(data: ModuleType, tmp_path: Path, name: str) -> None:
    """Its protection would be missing, and nobody would know."""
    given = write_data(tmp_path / "data")
    (given / "ir" / name).rename(given / "elsewhere")
    with pytest.raises(CollectionError, match=name):
        data.build(given, tmp_path)
