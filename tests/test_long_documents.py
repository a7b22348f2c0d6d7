"""Documents longer than the model reads: cut and said so, read in windows, or refused."""

import copy
import json
import logging
import pickle
import random
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, TINY_MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from support_frameworks import bundled_reranker

from laterank import ColbertEncoder, InputError, MemoryCache, Reranker
from laterank.cache.warming import Warmed
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.encoding.windows import stretches, windows
from laterank.long_documents import LongDocuments

QUERY = "Which planet is known as the Red Planet?"
SHORT = "Venus is Earth's twin."
LONG = " ".join(f"planet {number} is far away, and its {number % 7} moons are cold." for number in range(60))
ENCODERS = {name: ColbertEncoder.from_pretrained(GOLDEN / name, threads=1) for name in TINY_MODELS}
ENCODER = ENCODERS["bert-pylate"]
WORDS = st.sampled_from(
    [
        "Mars",
        "planet",
        "reddish-brown,",
        "İstanbul",
        "e\u0301t\u00e9",
        "火星は赤い",
        "🚀🚀",
        "\ud83d",
        "   ",
        "\n\n",
        "...",
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=8), max_size=120).map(" ".join) | st.lists(WORDS, max_size=120).map(
    "".join
)
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])


def windowed(**options: object) -> Reranker:
    """Make a reranker that reads long documents in windows."""
    return Reranker(ENCODER, long_documents="windows", **options)  # type: ignore[arg-type]


# --- where windows are cut ------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=200), st.integers(1, 30), OVERLAPS, st.randoms())
def test_windows_leave_no_token_out_and_hold_no_more_than_fit(
    lengths: list[int], room: int, overlap: float, rng: random.Random
) -> None:
    """Whatever the tokens are, each is whole in a window, and consecutive windows share what they should."""
    text = "".join(rng.choice("ab") * length + rng.choice(["", " "]) for length in lengths)
    starts, place = [], 0
    for length in lengths:
        starts.append(place)
        place += length + (text[place + length : place + length + 1] == " ")
    spans = windows(text, starts, room=room, overlap=overlap)
    held = [{token for token, start in enumerate(starts) if first <= start < last} for first, last in spans]
    assert set().union(*held) == set(range(len(starts)))
    assert all(len(tokens) <= room for tokens in held)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert spans == sorted(spans)
    repeated = min(int(room * overlap), room - 1)
    for before, after in pairwise(held):
        assert len(before & after) >= repeated - 2 * (repeated // 4)


def test_cuts_move_to_words_within_reach() -> None:
    """A word's parts alone would be other tokens: here a token has two letters, and a word three tokens."""
    text = "aabbcc ddeeff gghhii jjkkll"
    starts = [word * 7 + part for word in range(4) for part in (0, 2, 4)]
    moved = windows(text, starts, room=10, overlap=0.8)
    assert [text[a:b] for a, b in moved] == ["aabbcc ddeeff gghhii ", "ddeeff gghhii jjkkll"]
    assert [text[a:b] for a, b in windows(text, starts, room=8, overlap=0)] == [
        "aabbcc ddeeff gghh",
        "eeff gghhii jjkkll",
    ]


@pytest.mark.parametrize("name", TINY_MODELS)
@settings(max_examples=40, deadline=None)
@given(text=TEXTS, overlap=OVERLAPS)
def test_the_model_reads_every_window_to_its_end(name: str, text: str, overlap: float) -> None:
    """Prompts, markers, bytes and cuts within words included: no window is truncated, and no character is in none."""
    encoder = ENCODERS[name]
    [spans] = encoder.document_windows([text], overlap=overlap)
    assert (len(spans) == 1) == (not encoder.truncates([text])[0])
    assert not any(encoder.truncates([text[start:end] for start, end in spans]))
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(start < end for start, end in spans) or not text
    assert all(after[0] <= before[1] for before, after in pairwise(spans))


def test_windows_of_one_endless_word_are_read_to_their_ends() -> None:
    """There is no place between words to cut at."""
    word = "火星は赤い" * 100
    [spans] = ENCODER.document_windows([word])
    assert len(spans) > 1
    assert not any(ENCODER.truncates([word[start:end] for start, end in spans]))


def test_windows_are_shorter_than_what_the_model_reads_but_documents_that_fit_are_whole() -> None:
    """Short windows rank better; a document that fits keeps the score that it has without windows."""
    encoder = ColbertEncoder.from_pretrained()
    text = "The planet Mars is red because its dust holds iron. " * 60
    fits = text[:1200]
    for length in (192, 96):
        [one, spans] = encoder.document_windows([fits, text], length=length)
        lengths = encoder.count_tokens([text[start:end] for start, end in spans])
        assert one == [(0, len(fits))]
        assert length - 20 < max(lengths) <= length
    assert encoder.document_windows([text]) == encoder.document_windows([text], length=192)
    assert encoder.document_windows([text], length=600) == encoder.document_windows([text], length=512)


@pytest.mark.parametrize("length", [0, -1, 1.5, "96", None])
def test_a_length_of_windows_that_cannot_be_is_refused(length: object) -> None:
    """The error names it."""
    with pytest.raises(InputError, match="length is"):
        ENCODER.document_windows([LONG], length=length)  # type: ignore[arg-type]


@pytest.mark.parametrize("overlap", [-0.1, 1, 1.5, float("nan"), "0.5", True, None])
def test_an_overlap_that_cannot_be_is_refused(overlap: object) -> None:
    """Windows that repeat all of the one before never end."""
    with pytest.raises(InputError, match="overlap is"):
        ENCODER.document_windows([LONG], overlap=overlap)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="window_overlap is"):
        Reranker(ENCODER, window_overlap=overlap)  # type: ignore[arg-type]


# --- what a score is of ---------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), OVERLAPS)
def test_a_long_document_scores_as_its_best_window(documents: list[str], overlap: float) -> None:
    """By the definition: each window ranked as a document of its own, and the best one counts."""
    reranker, whole = windowed(window_overlap=overlap), Reranker(ENCODER)
    for place in reranker.rank(QUERY, documents):
        text = documents[place.index]
        [spans] = ENCODER.document_windows([text], overlap=overlap)
        alone = whole.rank(QUERY, [text[start:end] for start, end in spans])
        assert place.score == pytest.approx(alone[0].score, abs=2e-6)
        assert not place.truncated
        if len(spans) == 1:
            assert place.window is None
        else:
            assert place.window in spans
            [found] = whole.rank(QUERY, [text[slice(*place.window)]])
            assert found.score == pytest.approx(alone[0].score, abs=2e-6)


def test_documents_that_fit_rank_alike_under_every_policy() -> None:
    """Not one bit of a score changes, and nothing is said of them."""
    documents = [SHORT, "Mars is the Red Planet.", "", "rings of Saturn"]
    expected = Reranker(ENCODER).rank(QUERY, documents)
    assert windowed().rank(QUERY, documents) == expected
    assert Reranker(ENCODER, long_documents="error").rank(QUERY, documents) == expected
    assert all(not place.truncated and place.window is None for place in expected)


@settings(max_examples=8, deadline=None)
@given(st.permutations([SHORT, LONG, LONG[::-1], "", LONG[:400], SHORT + LONG]), st.booleans())
def test_order_and_cache_change_nothing(documents: list[str], cached: bool) -> None:
    """A document's score and window are its own."""
    found = {documents[p.index]: (p.score, p.window) for p in windowed(cache=cached).rank(QUERY, documents)}
    for text, (score, window) in found.items():
        [alone] = windowed().rank(QUERY, [text])
        assert score == pytest.approx(alone.score, abs=2e-6)
        assert window == alone.window


def test_many_queries_and_options_see_windows_as_one_query_does() -> None:
    """rank_many, top_n, the threshold and every scale."""
    reranker = windowed()
    lists = [[SHORT, LONG], [], [LONG, LONG[::-1], SHORT]]
    queries = [QUERY, "Venus", "cold moons"]
    expected = [reranker.rank(query, documents) for query, documents in zip(queries, lists, strict=True)]
    assert reranker.rank_many(queries, lists) == expected
    assert reranker.rank(queries[2], lists[2], top_n=2) == expected[2][:2]
    assert reranker.rank(queries[2], lists[2], score_threshold=expected[2][1].score) == expected[2][:2]
    total = windowed(score="sum").rank(queries[2], lists[2])
    assert [(place.index, place.window) for place in total] == [(p.index, p.window) for p in expected[2]]


def test_the_answer_at_the_end_of_20_000_words_is_found_in_windows_and_missed_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And without windows, ranking and log say what was not read."""
    rng = random.Random(0)
    words = ["market", "harbour", "ship", "cargo", "winter", "captain", "letter", "trade", "coast", "sail"]
    filler = " ".join(" ".join(rng.choices(words, k=9)).capitalize() + "." for _ in range(20_000 // 9))
    answer = "Penicillin was discovered by Alexander Fleming in 1928."
    documents = [
        "Medicines are sold in pharmacies, and doctors prescribe them.",
        f"{filler} {answer}",
        "Who discovered the wreck of the ship is told in the museum.",
    ]
    question = "Who discovered penicillin?"
    shared = bundled_reranker().encoder
    best = Reranker(shared, long_documents="windows").rank(question, documents)[0]
    assert best.index == 1
    assert best.window is not None
    assert answer in documents[1][slice(*best.window)]
    encoder = ColbertEncoder.from_pretrained()
    with caplog.at_level(logging.WARNING, logger="laterank"):
        missed = Reranker(encoder).rank(question, documents)
        Reranker(encoder).rank(question, documents)
    assert missed[0].index != 1
    assert [place.index for place in missed if place.truncated] == [1]
    [said] = [record.getMessage() for record in caplog.records]
    assert "cuts documents at 512 tokens" in said
    assert "long_documents='windows'" in said


# --- the cache ------------------------------------------------------------------------------------------------------


def test_windows_are_cached_and_warmed(tmp_path: Path) -> None:
    """A ranking after warming encodes nothing, in another process's reranker as well."""
    path = tmp_path / "rows.sqlite"
    [spans] = ENCODER.document_windows([LONG])
    first = windowed(cache=path)
    assert first.warm([LONG, SHORT, "", LONG]) == Warmed(4, len(spans) + 1, 0)
    assert first.warm([LONG]) == Warmed(1, 0, len(spans))
    expected = first.rank(QUERY, [LONG, SHORT])
    second = windowed(cache=path)
    assert second.rank(QUERY, [LONG, SHORT]) == expected
    for reranker in (first, second):
        assert reranker.cache is not None
        assert reranker.cache.stats().misses == 0


def test_warming_holds_few_windows_at_a_time() -> None:
    """A few long documents are no reason to hold all of their rows."""
    sizes: list[int] = []

    class Watching(ColbertEncoder):
        def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
            sizes.append(len(texts))
            return super().encode_documents(texts)

    book = " ".join(str(number) for number in range(9000))
    done = Reranker(Watching(ENCODER.files), long_documents="windows").warm([book])
    assert done.encoded == sum(sizes) > 256
    assert max(sizes) <= 256


@pytest.mark.parametrize("policy", ["truncate", "windows", "error"])
def test_what_is_cached_is_not_tokenised_again(policy: str) -> None:
    """The second ranking only looks up; so does one after others that were more than it remembers a few of."""
    asked: list[str] = []

    class Watching(ColbertEncoder):
        def truncates(self, texts: Sequence[str]) -> list[bool]:
            asked.extend(texts)
            return super().truncates(texts)

        def document_windows(
            self, texts: Sequence[str], *, overlap: float = 0.25
        ) -> list[list[tuple[int, int]]]:
            asked.extend(texts)
            return super().document_windows(texts, overlap=overlap)

    documents = [SHORT, "Mars"] if policy == "error" else [SHORT, LONG, "Mars"]
    unsure = (
        [LONG] if policy == "truncate" else documents
    )  # the others' rows say that they were read to their ends
    reranker = Reranker(Watching(ENCODER.files), long_documents=policy)  # type: ignore[arg-type]
    first = reranker.rank(QUERY, documents * 2)
    assert sorted(asked) == sorted(unsure)
    assert reranker.rank(QUERY, documents * 2) == first
    assert len(asked) == len(unsure)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(TINY_MODELS), TEXTS | st.text("…⑴℀.,_a≠\u2a0c ﷺ", max_size=60), st.sampled_from([1, 2, 3])
)
def test_rows_prove_only_what_the_tokenizer_confirms(model: str, text: str, pool_factor: int) -> None:
    """A document of which its rows say that it was read to its end was; however marks hide in one character."""
    encoder = ColbertEncoder(ENCODERS[model].files, threads=1, pool_factor=pool_factor)
    [rows] = encoder.encode_documents([text])
    if encoder.surely_reads_whole(text, len(rows)):
        assert encoder.truncates([text]) == [False]


def test_rows_prove_nothing_where_more_than_marks_is_skipped() -> None:
    """A skiplist of words could hide any number of tokens."""
    [rows] = ENCODER.encode_documents([SHORT])
    assert ENCODER.surely_reads_whole(SHORT, len(rows))
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", config={"skiplist_words": [".", "s"]})
    [rows] = encoder.encode_documents([SHORT])
    assert not encoder.surely_reads_whole(SHORT, len(rows))


def test_ranking_what_a_file_holds_tokenises_the_query_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finds the rows, and need not read the documents again to tell that none was cut."""
    Reranker(ENCODER, cache=tmp_path / "rows.sqlite").warm([SHORT, "Mars"])
    fresh = Reranker(ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate"), cache=tmp_path / "rows.sqlite")
    monkeypatch.setattr(ColbertTokenizer, "documents", None)
    assert {place.truncated for place in fresh.rank(QUERY, [SHORT, "Mars"])} == {False}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old documents are forgotten and found out about again, with the same answers."""
    monkeypatch.setattr("laterank.long_documents.MOST_REMEMBERED", 10)
    policy = LongDocuments("windows", ENCODER)
    texts = [LONG[number:] for number in range(6)]
    expected = [tuple(spans) for spans in ENCODER.document_windows(texts)]
    for _ in range(3):
        assert policy.windows(texts) == expected
        held = [*policy._windows._young.values(), *policy._windows._old.values()]
        assert len(held) <= 4


@pytest.mark.parametrize("policy", ["truncate", "windows", "error"])
def test_a_policy_travels_with_its_reranker(policy: str) -> None:
    """Pickled and copied ones treat long documents alike."""
    reranker = Reranker(ENCODER, long_documents=policy, window_overlap=0.5)  # type: ignore[arg-type]
    documents = [SHORT] if policy == "error" else [SHORT, LONG]
    expected = reranker.rank(QUERY, documents)
    for other in (pickle.loads(pickle.dumps(reranker)), copy.deepcopy(reranker)):
        assert other.long_documents == policy
        assert other.rank(QUERY, documents) == expected


# --- truncation said, long documents refused ------------------------------------------------------------------------


def test_a_truncated_document_says_so() -> None:
    """Those alone whose end was not read."""
    ranking = Reranker(ENCODER).rank(QUERY, [SHORT, LONG, ""])
    assert [place.index for place in ranking if place.truncated] == [1]


def test_a_document_that_was_cached_cut_says_so_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another process finds the rows in the file and encodes nothing; ranking and log tell all the same."""
    Reranker(ENCODER, cache=tmp_path / "rows.sqlite").warm([LONG, SHORT])
    fresh = Reranker(ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate"), cache=tmp_path / "rows.sqlite")
    with caplog.at_level(logging.WARNING, logger="laterank"):
        ranking = fresh.rank(QUERY, [LONG, SHORT])
        fresh.rank(QUERY, [LONG, SHORT])
    assert [place.index for place in ranking if place.truncated] == [0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_windows_leave_nothing_to_be_said(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is cut, so the log is silent."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")
    with caplog.at_level(logging.INFO, logger="laterank"):
        Reranker(encoder, long_documents="windows").rank("mars", [LONG, SHORT])
    assert caplog.records == []


def test_a_long_document_is_refused_by_its_position() -> None:
    """Wherever documents are read: in a ranking, in many, in an explanation, in a corpus."""
    reranker = Reranker(ENCODER, long_documents="error")
    expected = (
        rf"documents\[1\] has {len(LONG):,} characters, more than the \d+ tokens that .* reads; split it"
    )
    with pytest.raises(InputError, match=expected):
        reranker.rank(QUERY, [SHORT, LONG])
    with pytest.raises(InputError, match=r"documents_per_query\[1\]\[0\] has"):
        reranker.rank_many([QUERY, QUERY], [[SHORT], [LONG]])
    with pytest.raises(InputError, match=r"documents\[0\] has"):
        reranker.explain(QUERY, LONG)
    with pytest.raises(InputError, match=r"documents\[700\] has"):
        reranker.warm([*(f"mars {number}" for number in range(700)), LONG])
    assert reranker.rank(QUERY, [SHORT])[0].index == 0


def test_a_policy_that_is_none_is_refused() -> None:
    """The known ones are named."""
    with pytest.raises(
        InputError, match="long_documents is 'split', expected one of 'truncate', 'windows', 'error'"
    ):
        Reranker(ENCODER, long_documents="split")  # type: ignore[arg-type]


class Bare:
    """An encoder of rows alone."""

    name, fingerprint, dim = "bare", b"bare", ENCODER.dim
    encode_queries, encode_documents = ENCODER.encode_queries, ENCODER.encode_documents


def test_an_encoder_that_cannot_tell_long_documents_truncates_them() -> None:
    """It ranks as before, nothing is said of what was cut, and windows are an error when the reranker is made."""
    expected = Reranker(ENCODER).rank(QUERY, [LONG, SHORT])
    found = Reranker(Bare(), cache=MemoryCache()).rank(QUERY, [LONG, SHORT])
    assert [(p.index, p.score, p.truncated) for p in found] == [(p.index, p.score, False) for p in expected]
    for policy in ("windows", "error"):
        with pytest.raises(InputError, match=r"Bare has no methods truncates\(\)"):
            Reranker(Bare(), long_documents=policy)  # type: ignore[arg-type]


# --- explanations ---------------------------------------------------------------------------------------------------


def test_an_explanation_is_of_the_best_window_located_in_the_document() -> None:
    """The ranking's score and window; every token stands where the document has it."""
    reranker = windowed()
    document = f"{LONG} Mars is the Red Planet. {LONG}"
    [place] = reranker.rank(QUERY, [document])
    explanation = reranker.explain(QUERY, document)
    assert explanation.score == pytest.approx(place.score, abs=2e-6)
    assert place.window is not None
    window = explanation.document_reading.window
    assert window is not None
    assert (window.start, window.end) == place.window
    [spans] = ENCODER.document_windows([document])
    assert (window.number, window.count) == (spans.index(place.window) + 1, len(spans))
    inside = ENCODER.read_document(document[slice(*place.window)])
    for token, alone in zip(explanation.document_reading.tokens, inside.tokens, strict=True):
        assert token.of(document) == alone.of(document[slice(*place.window)])
    assert explanation.document == document
    assert explanation.document_reading.characters == len(document)
    assert explanation.document_reading.characters_read == window.end


def test_every_face_of_an_explanation_tells_the_window() -> None:
    """Terminal, page and data; the page shows the window and not the rest."""
    document = f"first words. {LONG} Mars is the Red Planet. {LONG} last words"
    explanation = windowed().explain(QUERY, document)
    window = explanation.document_reading.window
    assert window is not None
    said = f"number {window.number}: characters {window.start + 1:,} to {window.end:,} of {len(document):,}."
    assert said in " ".join(explanation.to_text(color=False, width=200).split())
    page = explanation.to_html()
    assert said in page
    passage = page.split('class="lr-passage"')[1].split("</p>")[0]
    assert ("first words" in passage, "last words" in passage) == (
        window.start == 0,
        window.end == len(document),
    )
    reading = json.loads(json.dumps(explanation.to_dict()))["document_reading"]
    assert reading["window"] == {
        "start": window.start,
        "end": window.end,
        "number": window.number,
        "count": window.count,
    }


def test_documents_that_fit_are_explained_without_a_window() -> None:
    """Whatever the policy."""
    assert windowed().explain(QUERY, SHORT).document_reading.window is None
    assert windowed().explain(QUERY, SHORT).to_dict() == Reranker(ENCODER).explain(QUERY, SHORT).to_dict()


def test_a_ranking_of_windows_is_explained() -> None:
    """Long and short, blank and repeated documents side by side."""
    reranker, documents = windowed(), [SHORT, LONG, "", LONG, LONG[::-1]]
    explained = reranker.explain_ranking(QUERY, documents)
    expected = reranker.rank(QUERY, documents)
    for place, ranked in zip(explained.places, expected, strict=True):
        assert place.index == ranked.index
        assert place.explanation.score == pytest.approx(ranked.score, abs=2e-6)
        window = place.explanation.document_reading.window
        assert (window and (window.start, window.end)) == ranked.window


# --- huge documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY_MODELS)
def test_a_huge_document_is_cut_into_windows_a_stretch_at_a_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the memory of a stretch, and into the very windows that all of it at once gives."""
    text = " ".join(
        f"Planet {number} is far away; its moons, all {number % 7}, are cold." for number in range(300)
    )
    [expected] = ENCODERS[name].document_windows([text])
    monkeypatch.setattr("laterank.encoding.tokenization.CHARACTERS_AT_ONCE", 1500)
    assert ENCODERS[name].document_windows([text]) == [expected]


def test_stretches_hold_everything_once_and_part_words_only_where_they_must() -> None:
    """A text without a space is cut where it is long enough."""
    for text in ("", "mars", "mars is red " * 40, "m" * 300, "m" * 130 + " is red" * 20):
        spans = list(stretches(text, 100))
        assert "".join(text[first:last] for first, last in spans) == text
        assert all(last - first <= 100 for first, last in spans)
    assert [first for first, _ in stretches("mars is red " * 40, 100)][1:3] == [95, 191]


def test_a_huge_document_is_refused_without_cutting_it_into_windows() -> None:
    """That it is too long is known after its start."""

    class Cutting(ColbertEncoder):
        def document_windows(self, *_: object, **__: object) -> list[list[tuple[int, int]]]:
            raise AssertionError("nobody asked for windows")

    reranker = Reranker(Cutting(ENCODER.files), long_documents="error")
    assert len(reranker.rank(QUERY, [SHORT])) == 1
    with pytest.raises(InputError, match=r"documents\[1\] has 7,500,000 characters"):
        reranker.rank(QUERY, [SHORT, "mars is the red " * 468_750])


def test_a_long_prompt_leaves_windows_as_long_as_they_are_without_one() -> None:
    """It is read before each window, and no reason to cut texts into single words."""
    text, length = "The planet Mars is red because its dust holds iron. " * 60, {"document_length": 512}
    plain = ColbertEncoder.from_pretrained(config=length)
    prompted = ColbertEncoder.from_pretrained(
        config={**length, "document_prompt": "represent this passage: " * 60}
    )
    assert prompted.count_tokens([""]) == [3 + 60 * 4]
    assert prompted.document_windows([text]) == plain.document_windows([text])
    shorter = ColbertEncoder.from_pretrained(config={"document_prompt": "represent this passage: " * 60})
    [spans] = shorter.document_windows([text])
    assert not any(shorter.truncates([text[start:end] for start, end in spans]))
    assert max(shorter.count_tokens([text[start:end] for start, end in spans])) > 280


def test_no_face_of_an_explanation_goes_through_a_huge_document() -> None:
    """They show its start, and the words around what was met."""
    reranker, text = Reranker(ENCODER), "mars is the red planet " * 100_000
    explanation, ranking = reranker.explain(QUERY, text), reranker.explain_ranking(QUERY, [text, SHORT])
    tracemalloc.start()
    try:
        faces = [str(explanation), str(ranking), ranking.to_html()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all("mars is the red planet" in face for face in faces)
    assert peak < 3 * len(text)
