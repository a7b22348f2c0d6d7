"""What LangChain expects of a compressor, and the defects of its other rerankers, each kept out by a test."""

import asyncio
import contextvars
import copy
import json
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ValidationError
from support_frameworks import (
    ANSWERS,
    PASSAGES,
    QUESTION,
    TINY_MODEL,
    bundled_reranker,
    run_python,
    tiny_reranker,
)

from laterank import InputError, InputTypeError, ModelNotFoundError, ProviderError, Reranker
from laterank.cache.warming import Warmed
from laterank.langchain import ColbertRerank


class Article(Document):
    """A document with a field of its own."""

    section: str = "science"


def documents() -> list[Document]:
    """Make the passages anew, each with an id and a source."""
    return [
        Document(id=name, page_content=text, metadata={"source": f"{name}.txt", "tags": ["fact"]})
        for name, text in PASSAGES.items()
    ]


def tiny(**options: object) -> ColbertRerank:
    """Build a compressor that shares the tiny model."""
    return ColbertRerank(reranker=tiny_reranker(), **options)


def summary(ranked: list[Document]) -> list[tuple[str | None, float]]:
    """Reduce documents to their ids and scores."""
    return [(document.id, document.metadata["relevance_score"]) for document in ranked]


# What comes back


@pytest.mark.parametrize("question", ANSWERS)
def test_the_embedded_model_puts_the_answer_first(question: str) -> None:
    """With no arguments at all, the passage that answers a question comes first."""
    ranked = ColbertRerank().compress_documents(documents(), question)
    assert ranked[0].id == ANSWERS[question]
    assert len(ranked) == 3


def test_documents_come_back_best_first() -> None:
    """Scores never rise from one document to the next."""
    scores = [score for _, score in summary(tiny(top_n=None).compress_documents(documents(), QUESTION))]
    assert all(before >= after for before, after in pairwise(scores))


def test_each_score_belongs_to_its_document() -> None:
    """A score in a batch is the score that the same text has alone (llama_index #20597)."""
    for document in tiny(top_n=None).compress_documents(documents(), QUESTION):
        (alone,) = tiny_reranker().rank(QUESTION, [document.page_content])
        assert document.metadata["relevance_score"] == pytest.approx(alone.score, abs=1e-5)
        assert document.page_content == PASSAGES[document.id or ""]


def test_the_callers_documents_stay_as_they_were() -> None:
    """Nothing is written to the documents that were passed (langchain-nvidia #41)."""
    given = documents()
    ranked = tiny(top_n=None).compress_documents(given, QUESTION)
    assert given == documents()
    assert not {id(document) for document in ranked} & {id(document) for document in given}
    assert not {id(document.metadata) for document in ranked} & {id(document.metadata) for document in given}


def test_ids_and_metadata_survive() -> None:
    """Id and metadata come back with the score beside them (langchain-cohere PR #131, langchain #19142)."""
    for document in tiny(top_n=None).compress_documents(documents(), QUESTION):
        assert document.metadata.pop("relevance_score") is not None
        document.metadata.pop("relevance_truncated", None)  # the tiny model reads 48 tokens
        assert document in documents()


def test_a_subclass_of_document_stays_one() -> None:
    """A document class with further fields comes back as that class, fields included."""
    (ranked,) = tiny().compress_documents([Article(page_content="Bees dance.", section="insects")], QUESTION)
    assert isinstance(ranked, Article)
    assert ranked.section == "insects"


def test_an_older_score_is_replaced() -> None:
    """Reranking what was reranked before gives the new scores and leaves the older ones where they are."""
    compressor, other_question = tiny(top_n=None), "What causes the ocean tides?"
    first = compressor.compress_documents(documents(), QUESTION)
    before = summary(first)
    again = dict(summary(compressor.compress_documents(first, other_question)))
    assert again == pytest.approx(dict(summary(compressor.compress_documents(documents(), other_question))))
    assert summary(first) == before


def test_scores_are_python_floats() -> None:
    """A score is a float that JSON takes, not numpy's (llama_index #16743)."""
    ranked = tiny().compress_documents(documents(), QUESTION)
    assert {type(document.metadata["relevance_score"]) for document in ranked} == {float}
    assert json.loads(json.dumps([document.metadata for document in ranked]))
    assert {type(result["relevance_score"]) for result in tiny().rerank(["a", "b"], "c")} == {float}


def test_no_documents_give_no_documents() -> None:
    """An empty retrieval stays empty."""
    assert tiny().compress_documents([], QUESTION) == []
    assert tiny().rerank([], QUESTION) == []


def test_a_blank_document_comes_last() -> None:
    """A document without text is no error and never outranks one with text."""
    blank = Document(id="blank", page_content=" \n")
    ranked = tiny(top_n=None).compress_documents([blank, *documents()], QUESTION)
    assert ranked[-1].id == "blank"


def test_a_blank_query_is_an_error() -> None:
    """A query without text raises in place of ranking by nothing."""
    with pytest.raises(InputError, match="blank"):
        tiny().compress_documents(documents(), "  ")


# How many come back


@pytest.mark.parametrize(("top_n", "expected"), [(1, 1), (3, 3), (12, 12), (99, 12), (None, 12)])
def test_top_n_says_how_many_documents_come_back(top_n: int | None, expected: int) -> None:
    """None keeps all, and so does a number beyond the documents (LocalAI #6700)."""
    assert len(tiny(top_n=top_n).compress_documents(documents(), QUESTION)) == expected


@pytest.mark.parametrize("top_n", [0, -1, True, 2.0, "3"])
def test_a_top_n_that_is_no_positive_integer_is_refused(top_n: object) -> None:
    """A slice by 0 or -1 would lose documents silently, so construction and assignment refuse it."""
    with pytest.raises(ValidationError, match="top_n"):
        tiny(top_n=top_n)
    compressor = tiny()
    with pytest.raises(ValidationError, match="top_n"):
        compressor.top_n = top_n


def test_fewer_documents_are_a_prefix_of_more() -> None:
    """A smaller top_n returns the beginning of what a larger one returns."""
    everything = summary(tiny(top_n=None).compress_documents(documents(), QUESTION))
    assert summary(tiny(top_n=4).compress_documents(documents(), QUESTION)) == everything[:4]


def test_the_threshold_drops_documents_that_score_less() -> None:
    """score_threshold keeps the documents at or above it, in both methods."""
    everything = summary(tiny(top_n=None).compress_documents(documents(), QUESTION))
    threshold = everything[4][1]
    compressor = tiny(top_n=None, score_threshold=threshold)
    kept = [entry for entry in everything if entry[1] >= threshold]
    assert summary(compressor.compress_documents(documents(), QUESTION)) == kept
    assert len(compressor.rerank(documents(), QUESTION)) == len(kept)
    assert tiny(score_threshold=1.5).compress_documents(documents(), QUESTION) == []


def test_top_n_can_change_with_each_call_of_rerank() -> None:
    """rerank takes its own top_n: -1 is the field's, None is all (langchain-cohere PR #139)."""
    compressor = tiny(top_n=5)
    lengths = [len(compressor.rerank(documents(), QUESTION, top_n=top_n)) for top_n in (-1, None, 2, 99)]
    assert lengths == [5, 12, 2, 12]
    assert len(compressor.rerank(documents(), QUESTION)) == 5


@pytest.mark.parametrize("top_n", [0, -2])
def test_rerank_refuses_a_top_n_below_one(top_n: int) -> None:
    """Only -1 has a second meaning."""
    with pytest.raises(InputError, match="top_n"):
        tiny().rerank(documents(), QUESTION, top_n=top_n)


def test_a_copy_with_another_top_n_shares_the_model() -> None:
    """model_copy is the way to another top_n for one call; it loads nothing and changes no original."""
    compressor = tiny(top_n=5)
    narrow = compressor.model_copy(update={"top_n": 1, "score_threshold": 0.0})
    assert narrow.reranker is compressor.reranker
    assert (narrow.top_n, narrow.score_threshold) == (1, 0.0)
    assert (compressor.top_n, compressor.score_threshold) == (5, None)


@pytest.mark.parametrize("update", [{"top_n": 0}, {"model": "elsewhere"}, {"threads": 2}, {"unknown": 1}])
def test_a_copy_refuses_what_it_cannot_keep(update: dict[str, object]) -> None:
    """A copy with a bad top_n, an unknown field or another model is refused: the loaded model stays."""
    with pytest.raises(ValidationError):
        tiny().model_copy(update=update)


# The method rerank


def test_rerank_takes_texts_documents_and_dictionaries() -> None:
    """The three kinds of input give the same positions and scores."""
    texts = list(PASSAGES.values())
    expected = tiny().rerank(texts, QUESTION, top_n=None)
    assert {result["index"] for result in expected} == set(range(12))
    assert tiny().rerank(documents(), QUESTION, top_n=None) == expected
    assert tiny().rerank([{"text": text} for text in texts], QUESTION, top_n=None) == expected
    assert tiny().rerank([{"page_content": text} for text in texts], QUESTION, top_n=None) == expected


def test_rerank_and_compress_documents_agree() -> None:
    """The positions that rerank returns are those of the documents that compress_documents returns."""
    compressor, given = tiny(), documents()
    results = [(given[r["index"]].id, r["relevance_score"]) for r in compressor.rerank(given, QUESTION)]
    assert results == summary(compressor.compress_documents(given, QUESTION))


@pytest.mark.parametrize("wrong", [None, 7, {"title": "no text"}, {"text": None}])
def test_a_document_that_is_no_text_is_named_by_its_position(wrong: object) -> None:
    """The error says which entry is wrong."""
    with pytest.raises(InputTypeError, match=r"documents\[1\]"):
        tiny().rerank(["fine", wrong], QUESTION)


# Building one


def test_it_is_a_compressor_with_the_signature_of_its_base() -> None:
    """Whatever calls a BaseDocumentCompressor can call this one."""
    assert issubclass(ColbertRerank, BaseDocumentCompressor)
    ours = signature(ColbertRerank.compress_documents).parameters
    base = signature(BaseDocumentCompressor.compress_documents).parameters
    assert list(ours) == list(base)
    assert ours["callbacks"].default is base["callbacks"].default is None


def test_the_model_may_be_a_path() -> None:
    """A path object, a string and a loaded reranker give the same scores."""
    expected = summary(tiny().compress_documents(documents(), QUESTION))
    for model in (TINY_MODEL, str(TINY_MODEL)):
        compressor = ColbertRerank(model=model)
        assert compressor.model == str(TINY_MODEL)
        assert summary(compressor.compress_documents(documents(), QUESTION)) == expected


def test_a_shared_reranker_gives_its_name_to_the_field_model() -> None:
    """Two compressors share one loaded model, and both say which."""
    first, second = tiny(top_n=1), tiny(top_n=2)
    assert first.reranker is second.reranker is tiny_reranker()
    assert first.model == second.model == tiny_reranker().name
    assert ColbertRerank(reranker=Reranker.from_pretrained(TINY_MODEL, score="sum")).score == "sum"


def test_a_loaded_model_can_be_warmed_and_passed_on() -> None:
    """The field reranker is filled in either way."""
    compressor = ColbertRerank(reranker=None)
    assert compressor.model == "bundled"
    compressor.reranker.warm(list(PASSAGES.values()))
    assert ColbertRerank(reranker=compressor.reranker).reranker is compressor.reranker


@pytest.mark.parametrize(
    "option",
    [
        {"model": "bundled"},
        {"revision": "main"},
        {"quantized": True},
        {"providers": ["CPUExecutionProvider"]},
        {"threads": 1},
        {"local_files_only": True},
        {"score": "sum"},
        {"truncate_dim": 8},
        {"pool_factor": 2},
        {"onnx_file": "model.onnx"},
        {"cache": "rows.sqlite"},
    ],
)
def test_a_reranker_and_an_option_that_loads_one_are_refused_together(option: dict[str, object]) -> None:
    """An option that could have no effect is an error that names it."""
    with pytest.raises(ValidationError, match=next(iter(option))):
        tiny(**option)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_keeps_documents_on_disk(tmp_path: Path, kind: type) -> None:
    """The next compressor with that path finds them; the option survives a dump."""
    path = kind(tmp_path / "rows.sqlite")
    first = ColbertRerank(model=TINY_MODEL, cache=path)
    expected = summary(first.compress_documents(documents(), QUESTION))
    second = ColbertRerank(**json.loads(first.model_dump_json()))
    assert second.cache == str(path)
    assert summary(second.compress_documents(documents(), QUESTION)) == expected
    assert second.reranker.cache.stats().misses == 0
    assert ColbertRerank(model=TINY_MODEL, cache=False).reranker.cache is None


def test_documents_are_warmed_at_ingestion(tmp_path: Path) -> None:
    """What was warmed is found when it is ranked, whichever form it comes in."""
    compressor = ColbertRerank(model=TINY_MODEL, cache=tmp_path / "rows.sqlite")
    assert compressor.warm(iter(documents())) == Warmed(len(PASSAGES), len(PASSAGES), 0)
    told: list[Warmed] = []
    forms = ["a text", {"text": "a dictionary"}, *documents()]
    assert compressor.warm(forms, progress=told.append) == Warmed(len(forms), 2, len(PASSAGES)) == told[-1]
    compressor.rerank(forms, QUESTION)
    compressor.compress_documents(documents(), QUESTION)
    assert compressor.reranker.cache.stats().misses == 0


def test_an_iterable_that_misjudges_its_length_is_warmed() -> None:
    """The length is for a bar alone."""

    class Loader:
        def __iter__(self) -> Iterator[Document]:
            return iter(documents())

        def __length_hint__(self) -> int:
            return -1

    assert ColbertRerank(model=TINY_MODEL).warm(Loader()).documents == len(PASSAGES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a text", "documents is str"),
        (None, "documents is NoneType"),
        ([{}], r"documents\[0\]"),
        ([7], r"documents\[0\]"),
    ],
)
def test_what_is_no_document_cannot_be_warmed(given: object, message: str) -> None:
    """One text is not a corpus of letters."""
    with pytest.raises(InputTypeError, match=message):
        ColbertRerank(model=TINY_MODEL).warm(given)


def test_an_unknown_option_is_refused() -> None:
    """A misspelt option is an error and not ignored."""
    with pytest.raises(ValidationError, match="topn"):
        ColbertRerank(topn=5)


def test_a_reranker_of_another_type_is_refused() -> None:
    """Only a Reranker can be passed as one."""
    with pytest.raises(ValidationError, match="instance of Reranker"):
        ColbertRerank(reranker="bundled")


def test_a_model_that_is_nowhere_is_an_error_at_construction(tmp_path: Path) -> None:
    """A wrong folder or hub name does not wait for the first query."""
    with pytest.raises(ModelNotFoundError):
        ColbertRerank(model=tmp_path / "nothing")
    with pytest.raises(ModelNotFoundError):
        ColbertRerank(model="nobody/no-such-model", revision="main", local_files_only=True)


def test_a_provider_that_is_not_there_is_an_error() -> None:
    """An execution provider is never replaced by another in silence (lancedb #1641)."""
    with pytest.raises(ProviderError, match="NoSuchExecutionProvider"):
        ColbertRerank(model=TINY_MODEL, providers=["NoSuchExecutionProvider"]).rerank(["a"], "b")


def test_the_options_reach_the_model() -> None:
    """The sum of MaxSim keeps the order of the mean, and one thread on the CPU its scores."""
    mean = tiny(top_n=None).rerank(documents(), QUESTION)
    options = {"providers": ["CPUExecutionProvider"], "threads": 1, "top_n": None}
    same = ColbertRerank(model=TINY_MODEL, **options).rerank(documents(), QUESTION)
    total = ColbertRerank(model=TINY_MODEL, score="sum", **options).rerank(documents(), QUESTION)
    assert [r["index"] for r in total] == [r["index"] for r in same] == [r["index"] for r in mean]
    assert same[0]["relevance_score"] == pytest.approx(mean[0]["relevance_score"], abs=1e-5)
    assert total[0]["relevance_score"] > 1 >= mean[0]["relevance_score"]
    with pytest.raises(ValidationError, match="threads"):
        ColbertRerank(model=TINY_MODEL, threads=0)


@pytest.mark.parametrize("field", ["model", "threads", "score", "reranker"])
def test_what_was_loaded_cannot_be_reassigned(field: str) -> None:
    """Assigning to an option that loads the model would change nothing, so it raises."""
    compressor = tiny()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(compressor, field, getattr(compressor, field))


# Dumps and copies


def test_a_dump_holds_options_and_no_model() -> None:
    """model_dump is JSON, leaves the loaded model out, and builds the same compressor again."""
    compressor = ColbertRerank(model=TINY_MODEL, threads=1, top_n=None, score_threshold=0.1)
    dump = compressor.model_dump()
    assert "reranker" not in dump
    rebuilt = ColbertRerank(**json.loads(json.dumps(dump)))
    assert rebuilt.model_dump() == dump
    assert ColbertRerank.model_validate_json(compressor.model_dump_json()).model_dump() == dump
    assert "Reranker object" not in repr(compressor)


def test_the_options_have_a_json_schema() -> None:
    """Tools that build forms from a schema see the options and not the loaded model."""
    properties = ColbertRerank.model_json_schema()["properties"]
    assert {"model", "top_n", "score_threshold"} <= set(properties)
    assert "reranker" not in properties


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda compressor: pickle.loads(pickle.dumps(compressor)),
        copy.copy,
        copy.deepcopy,
        lambda compressor: compressor.model_copy(deep=True),
    ],
    ids=["pickle", "copy", "deepcopy", "model_copy"],
)
@pytest.mark.parametrize("shared", [True, False], ids=["given reranker", "own reranker"])
def test_a_duplicate_ranks_the_same(duplicate: object, shared: bool) -> None:
    """Pickles and copies work after the model has run, whoever loaded it."""
    compressor = tiny(top_n=4) if shared else ColbertRerank(model=TINY_MODEL, top_n=4)
    expected = summary(compressor.compress_documents(documents(), QUESTION))
    duplicated = duplicate(compressor)
    assert duplicated.model_dump() == compressor.model_dump()
    assert summary(duplicated.compress_documents(documents(), QUESTION)) == expected
    assert summary(compressor.compress_documents(documents(), QUESTION)) == expected


# Threads and the event loop


async def test_many_queries_at_once_rank_as_one_after_the_other() -> None:
    """Concurrent calls on one compressor share no state."""
    compressor = tiny(top_n=None)
    queries = [*ANSWERS, *PASSAGES.values()]
    expected = [summary(compressor.compress_documents(documents(), query)) for query in queries]
    ranked = await asyncio.gather(*(compressor.acompress_documents(documents(), query) for query in queries))
    assert [summary(list(r)) for r in ranked] == expected


def test_threads_share_one_compressor() -> None:
    """A fresh compressor that several threads use first at the same time ranks as one thread does."""
    compressor = ColbertRerank(model=TINY_MODEL, top_n=None)
    with ThreadPoolExecutor(max_workers=8) as pool:
        ranked = list(pool.map(lambda _: compressor.rerank(documents(), QUESTION), range(16)))
    expected = tiny(top_n=None).rerank(documents(), QUESTION)
    assert all([r["index"] for r in results] == [r["index"] for r in expected] for results in ranked)


async def test_the_event_loop_runs_on_while_documents_are_reranked() -> None:
    """Other tasks keep running during a long rerank (llama_index #16911, #19379)."""
    long_documents = [Document(" ".join([*PASSAGES.values(), str(n)] * 2)) for n in range(60)]
    compressor = tiny()
    compressor.compress_documents(documents(), QUESTION)  # so that the model is loaded
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beat())
    started = time.perf_counter()
    await compressor.acompress_documents(long_documents, QUESTION)
    ended = time.perf_counter()
    heart.cancel()
    during = [moment for moment in beats if started < moment < ended]
    assert len(during) >= 5, f"{len(during)} beats in {ended - started:.3f} s"


async def test_a_cancelled_call_harms_no_later_one() -> None:
    """Cancelling drops one result; documents, context variables and the compressor stay as they were."""
    request = contextvars.ContextVar("request", default="none")
    request.set("mine")
    compressor, given = tiny(), documents()
    expected = summary(compressor.compress_documents(given, QUESTION))
    call = asyncio.create_task(compressor.acompress_documents(given, QUESTION))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert summary(list(await compressor.acompress_documents(given, QUESTION))) == expected
    assert given == documents()
    assert request.get() == "mine"


async def test_an_error_in_the_background_reaches_the_caller() -> None:
    """What the executor's thread raised is raised by await, type and message kept."""
    with pytest.raises(InputError, match="blank"):
        await tiny().acompress_documents(documents(), "")


# Without LangChain


def test_without_langchain_the_import_says_what_to_install() -> None:
    """The error names the extra and keeps its cause; the package itself imports without LangChain."""
    printed = run_python(
        "import sys\n"
        "sys.modules['langchain_core'] = None\n"
        "import laterank\n"
        "try:\n"
        "    import laterank.langchain\n"
        "except ImportError as error:\n"
        "    print(error, '|', type(error.__cause__).__name__)\n"
    )
    assert 'pip install "laterank[langchain]" | ModuleNotFoundError' in printed


def test_the_adapter_imports_no_other_framework() -> None:
    """The adapter needs langchain-core and neither langchain, LlamaIndex nor torch."""
    printed = run_python(
        "import sys, laterank.langchain\n"
        "print(sorted({'langchain', 'langchain_classic', 'langchain_community', 'llama_index', 'torch'}"
        " & set(sys.modules)))\n"
    )
    assert printed.strip() == "[]"


def test_the_embedded_model_is_shared_by_two_compressors() -> None:
    """One loaded embedded model serves two compressors with different options."""
    first = ColbertRerank(reranker=bundled_reranker(), top_n=1)
    second = ColbertRerank(reranker=bundled_reranker(), top_n=2)
    ranked = summary(second.compress_documents(documents(), QUESTION))
    assert summary(first.compress_documents(documents(), QUESTION)) == ranked[:1]


@pytest.mark.parametrize("documents", ["Mars is red.", b"Mars", {"text": "Mars"}, {"Mars"}, None])
def test_one_text_is_not_a_list_of_letters(documents: object) -> None:
    """A string where a list belongs would rank its letters."""
    with pytest.raises(InputTypeError, match="expected a list of documents"):
        tiny().rerank(documents, QUESTION)  # type: ignore[arg-type]


def test_compressing_texts_says_what_takes_texts() -> None:
    """Texts have no metadata to carry a score."""
    with pytest.raises(
        InputTypeError,
        match=r"documents\[0\] is a str, expected a Document of langchain_core; rerank\(\) takes texts",
    ):
        tiny().compress_documents(["Mars is red."], QUESTION)  # type: ignore[list-item]


@pytest.mark.parametrize("documents", [None, "Mars is red.", Document("Mars is red."), 7])
def test_compressing_what_is_no_list_says_what_was_given(documents: object) -> None:
    """One Document is no list of its fields, a string none of letters."""
    with pytest.raises(InputTypeError, match=r"documents is \S+, expected a list of Documents"):
        tiny().compress_documents(documents, QUESTION)  # type: ignore[arg-type]


def test_documents_from_a_generator_are_all_ranked() -> None:
    """Looking at each document first must not use an iterator up."""
    documents = [Document("Mars is red."), Document("Venus is hot.")]
    assert len(tiny().compress_documents((document for document in documents), QUESTION)) == 2  # type: ignore[arg-type]


def test_a_document_of_another_framework_is_told_apart() -> None:
    """It has the same name."""

    class Document:
        page_content = "Mars is red."

    with pytest.raises(
        InputTypeError, match=r"is a test_langchain\..*Document, expected a Document of langchain_core"
    ):
        tiny().compress_documents([Document()], QUESTION)  # type: ignore[list-item]


class Lock:
    """What can be neither copied, compared, hashed nor told true from false."""

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("cannot be copied")

    def __eq__(self, other: object) -> bool:
        raise TypeError("cannot be compared")

    def __bool__(self) -> bool:
        raise TypeError("neither true nor false")


@pytest.mark.parametrize("fusion", [None, "rrf"])
@pytest.mark.parametrize(
    "value", [Lock(), np.zeros(2), 10**400, float("nan")], ids=["lock", "array", "huge", "nan"]
)
def test_metadata_may_be_anything(value: object, fusion: str | None) -> None:
    """It is passed on as it is, under the key of the retriever's score, too."""
    given = [Document(page_content=text, metadata={"score": value}) for text in ("Mars is red.", "Venus")]
    found = tiny(fusion=fusion).compress_documents(given, QUESTION)
    assert all(document.metadata["score"] is value for document in found)


@pytest.mark.parametrize("value", [Lock(), np.zeros(2)], ids=["lock", "array"])
def test_a_score_that_is_no_number_is_named(value: object) -> None:
    """Arrays and others have an equality of their own."""
    given = [Document(page_content=text, metadata={"score": value}) for text in ("Mars is red.", "Venus")]
    with pytest.raises(InputTypeError, match=r"first_stage_scores\[0\] is .* expected a number"):
        tiny(fusion="weighted").compress_documents(given, QUESTION)


@pytest.mark.parametrize("metadata", [None, [], [1], "red", 3])
def test_what_is_no_mapping_of_metadata_has_no_score(metadata: object) -> None:
    """A dictionary is ranked by its text."""
    assert tiny().rerank([{"text": "Mars", "metadata": metadata}], QUESTION)[0]["index"] == 0
