"""Each scored row has its token, and the token its characters in the caller's string."""

import unicodedata
from functools import cache

import pytest
from conftest import GOLDEN, TINY_MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

from laterank import ColbertEncoder, InputTypeError
from laterank.encoding.reading import Origins, Token
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.model.settings import read_config

HARD = "aéİ \u0301\u0323\u200d\ufe0f\ud83d\ude00😀👩🏽🇫🇷日한각ﬁ½Σßǅ\0\t\r\n\u202e ١בلا▁Ġ"
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(HARD)), max_size=12)
LOWERED = {"do_lower_case": True, "strip_text": True, "document_prompt": "İ prompt: ", "query_prompt": " ß: "}


@cache
def tokenizer(name: str, *, lowered: bool = False) -> ColbertTokenizer:
    given_settings = LOWERED if lowered else {}
    return ColbertTokenizer(
        GOLDEN / name / "tokenizer.json", read_config(GOLDEN / name, given=given_settings)
    )


def spans(name: str, text: str, *, lowered: bool = False) -> list[tuple[str, str]]:
    tokens = tokenizer(name, lowered=lowered).read_document(text).tokens
    return [(token.text, token.of(text)) for token in tokens if token.role == "text"]


@pytest.mark.parametrize("name", TINY_MODELS)
@pytest.mark.parametrize("text", ["", "?", "Red  planet, İstanbul 👩‍🚀 日本", "word " * 400, "ab\0c " * 300])
def test_there_is_one_token_for_each_row(name: str, text: str) -> None:
    """What is scored is what is named: on both sides, for short, empty and truncated texts."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / name, threads=1)
    [query], [document] = encoder.encode_queries([text]), encoder.encode_documents([text])
    assert len(encoder.read_query(text).tokens) == len(query)
    assert len(encoder.read_document(text).tokens) == len(document)


@pytest.mark.parametrize("lowered", [False, True])
@pytest.mark.parametrize("name", TINY_MODELS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_tokens_are_those_that_the_network_reads(name: str, lowered: bool, text: str) -> None:
    """The vocabulary's names are those of the ids, and spans lie in the text, in order."""
    model = tokenizer(name, lowered=lowered)
    for reading, [tokens] in (
        (model.read_query(text), model.queries([text])),
        (model.read_document(text), model.documents([text])),
    ):
        ids = tokens.ids[tokens.scored].tolist()
        assert len(reading.tokens) == len(ids)
        last = 0
        for token, number in zip(reading.tokens, ids, strict=True):
            assert token.role == "marker" or token.text == model._vocabulary.name(number)
            assert (token.start is not None) == (token.role == "text")
            if token.start is not None:
                assert last <= token.start <= token.end <= len(text)
                last = token.start
        assert 0 <= reading.characters_read <= reading.characters == len(text)
        assert reading.tokens_read == len(tokens)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_a_span_holds_its_token(text: str) -> None:
    """BERT's normalisation of the sliced characters contains the token, whatever it dropped or lower-cased around it."""
    normalizer = tokenizer("bert-pylate")._vocabulary.tokenizer.normalizer
    for name, characters in spans("bert-pylate", text):
        if name != "[UNK]" and not any("\ud800" <= one <= "\udfff" for one in characters):
            assert name.removeprefix("##") in normalizer.normalize_str(characters)


@pytest.mark.parametrize("name", ["modernbert-pylate", "xlmr-jina"])
@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("aé日😀\u0301 한"), max_size=8))
def test_nothing_that_can_be_seen_is_left_out(name: str, text: str) -> None:
    """Where a vocabulary has every byte or an unknown token, the spans cover every character but blanks."""
    covered = {
        place
        for token in tokenizer(name).read_document(text).tokens
        for place in range(token.start or 0, token.end or 0)
    }
    assert [place for place in range(len(text)) if not text[place].isspace() and place not in covered] == []


def test_roles_name_what_the_model_adds() -> None:
    """Start token, marker, the text's own, end token, expansion: in that order."""
    tokens = tokenizer("bert-pylate").read_query("planet").tokens
    assert [token.role for token in tokens[:4]] == ["start", "marker", "text", "end"]
    assert {token.role for token in tokens[4:]} == {"expansion"}
    assert tokens[1] == Token("[Q] ", "marker")
    assert tokens[2] == Token("planet", "text", 0, 6)
    assert tokens[4].text == "[MASK]"


def test_a_prompt_is_no_part_of_the_text() -> None:
    """Tokens of a prompt are named so, and the spans after them count from the caller's first character."""
    model = tokenizer("modernbert-pylate", lowered=True)
    tokens = model.read_document("Red Planet").tokens
    assert "prompt" in {token.role for token in tokens}
    own = [token for token in tokens if token.role == "text"]
    assert "".join(token.of("Red Planet") for token in own).replace(" ", "") == "RedPlanet"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\u0301", ["e\u0301"]),
        ("a\0b", ["a", "b"]),
        ("  Red ", ["R", "e", "d"]),
        ("日本", ["日", "本"]),
        ("a🚀b", ["a", "🚀", "b"]),
        ("👩\u200d🚀", ["👩\u200d", "🚀"]),
    ],
)
def test_spans_are_those_that_a_reader_would_draw(text: str, expected: list[str]) -> None:
    """Accents stay with their letter, joiners with what they join, blanks with nobody."""
    assert [characters for _, characters in spans("bert-pylate", text)] == expected


def test_lower_casing_that_lengthens_a_text_keeps_the_spans() -> None:
    """``İ`` becomes two characters before the tokenizer sees it."""
    text = "İİİ planet"
    found = spans("modernbert-pylate", text, lowered=True)
    assert found[-1][1] == "planet"


def test_surrogates_are_the_callers_characters() -> None:
    """A pair of surrogates is read as one emoji and is two characters of the string, a lone one is one."""
    text = "\ud83d\ude00x\ud83dy"
    origins = Origins(text)
    assert origins.seen == "😀x\ufffdy"
    assert [origins.span(place, place + 1) for place in range(4)] == [(0, 2), (2, 3), (3, 4), (4, 5)]


@given(TEXTS)
def test_every_character_seen_has_its_origin(text: str) -> None:
    """Whatever is cut off, lower-cased or mended: the spans are the caller's, in order, without overlap of others."""
    origins = Origins(text, prompt="İ ", strip=True, lower=True)
    last = -2
    for place in range(len(origins.seen)):
        start, end = origins.span(place, place + 1)
        assert last <= start < end <= len(text)
        last = start
        if start >= 0 and end == start + 1:
            assert origins.seen[place] in text[start].lower() + "ς\ufffd"


def test_a_truncated_text_says_how_much_was_read() -> None:
    """Characters up to the last token that was kept."""
    text = "planet " * 100
    reading = tokenizer("bert-pylate").read_document(text)
    assert reading.truncated
    assert reading.tokens_read == 48
    assert reading.characters_read == 45 * 7 - 1
    assert reading.characters == 700
    assert not tokenizer("bert-pylate").read_document("planet").truncated


def test_a_huge_text_is_read_to_the_same_place() -> None:
    """What is found with offsets is what was found without, though only the start of the text is looked at."""
    text = "\u0301" * 5000 + "planet " * 3000
    reading = tokenizer("bert-pylate").read_document(text)
    assert [token.text for token in reading.tokens if token.role == "text"] == ["planet"] * 45
    assert text[: reading.characters_read].endswith("planet")


def test_a_text_that_is_no_string_is_refused(tiny_encoder: ColbertEncoder) -> None:
    """As everywhere."""
    with pytest.raises(InputTypeError, match="documents"):
        tiny_encoder.read_document(3)  # type: ignore[arg-type]


def test_the_hard_characters_are_hard() -> None:
    """The sample has marks, formats, wide, right-to-left and control characters, and surrogates."""
    assert {"Mn", "Cf", "Lo", "Cc", "So", "Nd", "Cs"} <= {unicodedata.category(one) for one in HARD}
