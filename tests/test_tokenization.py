"""Markers, expansion, truncation, skiplist: token ids against the definition."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import GOLDEN, edit_json
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from laterank import ModelFormatError
from laterank.encoding.tokenization import CHARACTERS_AT_ONCE, ColbertTokenizer
from laterank.model.config import ColbertConfig
from laterank.model.settings import read_config


def load(name: str = "bert-pylate", **settings: object) -> ColbertTokenizer:
    folder = GOLDEN / name
    return ColbertTokenizer(folder / "tokenizer.json", read_config(folder, given=settings))


def plain(name: str = "bert-pylate") -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(GOLDEN / name / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


BERT = plain()
CLS, SEP, MASK, Q, D = (BERT.token_to_id(token) for token in ("[CLS]", "[SEP]", "[MASK]", "[Q] ", "[D] "))


def test_a_document_gets_its_marker_after_the_start_token() -> None:
    """[CLS] [D] tokens [SEP], as ColBERT was trained."""
    [tokens] = load().documents(["the red planet"])
    own = BERT.encode("the red planet", add_special_tokens=False).ids
    assert tokens.ids.tolist() == [CLS, D, *own, SEP]
    assert tokens.attention.all()


def test_a_query_is_expanded_with_unattended_masks() -> None:
    """[CLS] [Q] tokens [SEP] [MASK]... to exactly query_length, masks scored and not attended."""
    [tokens] = load().queries(["the red planet"])
    own = BERT.encode("the red planet", add_special_tokens=False).ids
    used = len(own) + 3
    assert tokens.ids.tolist() == [CLS, Q, *own, SEP] + [MASK] * (32 - used)
    assert tokens.attention.tolist() == [True] * used + [False] * (32 - used)
    assert tokens.scored.all()


def test_attended_expansion_is_attended() -> None:
    """jina-colbert-v2 lets the network see its mask tokens."""
    [tokens] = load("xlmr-jina").queries(["red planet"])
    assert tokens.attention.all()
    assert len(tokens) == 32


@pytest.mark.parametrize(("expansion", "expected"), [("fixed", 32), ("min", 43), ("none", 32)])
def test_long_queries_are_cut_as_the_expansion_says(expansion: str, expected: int) -> None:
    """fixed and none truncate to query_length, min never does."""
    [tokens] = load(query_expansion=expansion).queries(["planet " * 40])
    assert len(tokens) == expected
    assert tokens.ids[-1] == SEP
    assert tokens.truncated == (expected == 32)


@pytest.mark.parametrize(("expansion", "expected"), [("fixed", 32), ("min", 32), ("none", 7)])
def test_short_queries_are_filled_as_the_expansion_says(expansion: str, expected: int) -> None:
    """fixed and min pad to query_length, none leaves the query alone."""
    [tokens] = load(query_expansion=expansion).queries(["red planet"])
    assert len(tokens) == expected


def test_truncation_keeps_marker_and_separator() -> None:
    """A long document loses its own last tokens and nothing else."""
    [tokens] = load().documents(["planet " * 500])
    planet = BERT.encode("planet", add_special_tokens=False).ids
    assert tokens.ids.tolist() == [CLS, D, *(planet * 45), SEP]
    assert tokens.truncated


def test_punctuation_gives_no_document_row() -> None:
    """The skiplist holds for documents; start, marker and separator stay."""
    [tokens] = load().documents(["mars, venus."])
    dropped = [BERT.id_to_token(int(token)) for token in tokens.ids[~tokens.scored]]
    assert dropped == [",", "."]


def test_punctuation_counts_in_queries() -> None:
    """Queries keep every row."""
    [tokens] = load().queries(["mars, venus?"])
    assert tokens.scored.all()


def test_byte_level_vocabularies_can_skip_the_variant_with_a_space_too() -> None:
    """`(` and `Ġ(` are two tokens of one sign: token skips the first as the models' trainers do, spaced skips both."""
    tokenizer = plain("modernbert-pylate")

    def dropped(match: str) -> set[str]:
        [tokens] = load("modernbert-pylate", skiplist_match=match).documents(["f(x) and (y) - z"])
        return {tokenizer.id_to_token(int(token)) for token in tokens.ids[~tokens.scored]}

    assert "(" in dropped("token")
    assert "Ġ(" not in dropped("token")
    assert {"(", "Ġ(", "Ġ-"} <= dropped("spaced")


def test_pylate_cuts_blanks_off_a_text() -> None:
    """A chunk that ends with a line break has the rows of the chunk without it, as PyLate encodes it."""
    blank, bare = load("modernbert-pylate", document_prompt="").documents(["  mars \n\n", "mars"])
    assert blank.ids.tolist() == bare.ids.tolist()
    kept, bare = load("modernbert-pylate", document_prompt="", strip_text=False).documents(
        ["  mars \n\n", "mars"]
    )
    assert len(kept) > len(bare)


@pytest.mark.parametrize("literal", ["[MASK]", "[PAD]", "[Q] ", "[D] ", "[CLS]", "[SEP]"])
def test_special_tokens_written_in_a_text_are_text(literal: str) -> None:
    """A user who writes [MASK] means six characters."""
    [tokens] = load().documents([f"mars {literal} venus"])
    special = BERT.token_to_id(literal)
    assert (tokens.ids[2:-1] != special).all()


def test_prompts_stand_after_the_marker() -> None:
    """A prompt is text before the text."""
    with_prompt = load(document_prompt="planet: ").documents(["mars"])[0]
    written = load().documents(["planet: mars"])[0]
    assert with_prompt.ids.tolist() == written.ids.tolist()


def test_lower_casing_happens_before_the_tokenizer() -> None:
    """A cased vocabulary with do_lower_case sees lower case only."""
    upper, lower = load("lighton").documents(["THE RED PLANET", "the red planet"])
    assert upper.ids.tolist() == lower.ids.tolist()


def test_lone_surrogates_are_replaced() -> None:
    """Half an emoji is no text that UTF-8 can carry, and no reason to crash."""
    [tokens, reference] = load().documents(["mars \ud83d venus", "mars \ufffd venus"])
    assert tokens.ids.tolist() == reference.ids.tolist()


@pytest.mark.parametrize("name", ["bert-pylate", "xlmr-jina", "modernbert-pylate"])
@pytest.mark.parametrize(
    "unit", ["the planet mars ", "marsvenus" * 300 + " ", "漢字仮名", "🚀", "a", "\n\nred\t"]
)
def test_a_megabyte_is_cut_where_the_whole_would_be_cut(name: str, unit: str) -> None:
    """Looking at the head of a huge text only gives the very tokens that looking at all of it gives."""
    text = unit * (200_000 // len(unit))
    tokenizer = load(name)
    [tokens] = tokenizer.documents([text])
    prompt = read_config(GOLDEN / name).document_prompt
    own = plain(name).encode((prompt + text).strip(), add_special_tokens=False).ids
    kept = tokens.ids[2:-1].tolist()
    assert kept == own[: len(kept)]
    assert tokens.truncated == (len(kept) < len(own))


@given(st.text(alphabet=st.characters(), max_size=120))
def test_any_text_becomes_tokens(text: str) -> None:
    """No Unicode text crashes, and the frame of special tokens always stands."""
    [tokens] = load().documents([text])
    assert tokens.ids[:2].tolist() == [CLS, D]
    assert tokens.ids[-1] == SEP
    assert len(tokens) <= 48


def test_a_marker_that_the_tokenizer_lacks_is_named() -> None:
    """Peers fall back to nothing here and rank worse for ever."""
    with pytest.raises(ModelFormatError, match=r"tokenizer.json lacks the token '\[R\]'.*query_prefix"):
        load(query_prefix="[R]")


def test_a_marker_id_that_contradicts_the_marker_is_refused() -> None:
    """Text and id of one marker must agree."""
    with pytest.raises(ModelFormatError, match="the settings say 3"):
        load(query_prefix_id=3)


def test_a_marker_id_beyond_the_vocabulary_is_refused() -> None:
    """It would crash in the embedding look-up."""
    with pytest.raises(ModelFormatError, match="99999"):
        load(query_prefix=None, query_prefix_id=99_999)


def test_a_tokenizer_without_a_mask_token_is_refused_only_where_it_is_needed(
    copy_of: Callable[..., Path],
) -> None:
    """Expansion needs the mask token; a model without expansion does not."""
    folder = copy_of()
    edit_json(folder / "special_tokens_map.json", remove=("mask_token",))
    edit_json(folder / "tokenizer_config.json", remove=("mask_token",))
    with pytest.raises(ModelFormatError, match=r"no mask token.*expansion_token"):
        ColbertTokenizer(folder / "tokenizer.json", read_config(folder))
    ColbertTokenizer(folder / "tokenizer.json", read_config(folder, given={"query_expansion": "none"}))
    ColbertTokenizer(folder / "tokenizer.json", read_config(folder, given={"expansion_token": "[PAD]"}))


@pytest.mark.parametrize("content", ["{}", '{"model": {"type": "Nonsense"}}', "not json"])
def test_a_broken_tokenizer_file_is_named(tmp_path: Path, content: str) -> None:
    """The error names tokenizer.json."""
    (tmp_path / "tokenizer.json").write_text(content)
    config = ColbertConfig(query_prefix=None, document_prefix=None, query_length=32, document_length=48)
    with pytest.raises(ModelFormatError, match=r"tokenizer\.json"):
        ColbertTokenizer(tmp_path / "tokenizer.json", config)


def test_serialised_padding_and_truncation_are_reset() -> None:
    """PyLate's tokenizer.json carries a padding to 31 that would reach every document."""
    raw = json.loads((GOLDEN / "bert-pylate" / "tokenizer.json").read_text())
    assert raw["padding"]
    assert raw["truncation"]
    [tokens] = load().documents(["mars"])
    assert len(tokens) < 10


def test_the_allow_list_keeps_only_its_tokens() -> None:
    """keep_only_token_ids leaves rows of these tokens alone."""
    planet = BERT.encode("planet", add_special_tokens=False).ids[0]
    [tokens] = load(keep_only_token_ids=(planet,)).documents(["the red planet"])
    assert tokens.ids[tokens.scored].tolist() == [planet]


def test_the_start_token_can_be_left_out() -> None:
    """BGE-M3 scores every token but <s>."""
    for name in ("bert-pylate", "xlmr-jina"):  # XLM-R's <s> has the id 0
        tokenizer = load(name, drop_start_token=True)
        assert not tokenizer.documents(["mars"])[0].scored[0], name
        assert not tokenizer.queries(["mars"])[0].scored[0], name


def test_the_skiplist_can_hold_for_queries_and_not_for_documents() -> None:
    """sentence-transformers 6 names the tasks; on queries its skiplist reaches expansion rows, too."""
    words = ("?", "[MASK]")
    tokenizer = load(skip_query=True, skip_document=False, skiplist_words=words)
    [query], [document] = tokenizer.queries(["mars?"]), tokenizer.documents(["mars?"])
    assert document.scored.all()
    assert query.scored.tolist() == [int(token) not in (MASK, BERT.token_to_id("?")) for token in query.ids]


def test_decoders_expand_with_their_end_token(copy_of: Callable[..., Path]) -> None:
    """Without a mask token PyLate takes the end token, and so do we."""
    folder = copy_of()
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        edit_json(folder / file, remove=("mask_token",), eos_token="[SEP]")
    [tokens] = ColbertTokenizer(folder / "tokenizer.json", read_config(folder)).queries(["mars"])
    assert tokens.ids[-1] == SEP
    assert len(tokens) == 32


@pytest.mark.parametrize("given", [99_999, 7])
def test_an_expansion_id_that_cannot_be_is_refused(given: int) -> None:
    """Beyond the vocabulary, or another token than the mask: both would rank by noise."""
    with pytest.raises(ModelFormatError, match=f'"expansion_token_id" is {given}'):
        load(expansion_token_id=given)


def test_a_huge_text_is_not_tokenised_to_its_end() -> None:
    """Of a hundred megabytes the tokenizer sees a few kilobytes."""
    tokenizer, seen = load(), []
    real = tokenizer._vocabulary.tokenizer

    class Watching:
        def encode_batch_fast(self, texts: list[str], **options: bool) -> object:
            seen.extend(len(text) for text in texts)
            return real.encode_batch_fast(texts, **options)

    tokenizer._vocabulary.tokenizer = Watching()  # type: ignore[assignment]
    [tokens] = tokenizer.documents(["the red planet " * 1_000_000])
    assert tokens.truncated
    assert max(seen) < 10_000


def watched(tokenizer: ColbertTokenizer) -> list[int]:
    """Return how many characters each call of the tokenizer's library gets, from now on."""
    sizes: list[int] = []
    real = tokenizer._vocabulary.tokenizer

    class Watching:
        def encode_batch_fast(self, texts: list[str], **options: bool) -> object:
            sizes.append(sum(map(len, texts)))
            return real.encode_batch_fast(texts, **options)

        def encode_batch(self, texts: list[str], **options: bool) -> object:
            sizes.append(sum(map(len, texts)))
            return real.encode_batch(texts, **options)

        def id_to_token(self, token: int) -> str | None:
            return real.id_to_token(token)

    tokenizer._vocabulary.tokenizer = Watching()  # type: ignore[assignment]
    return sizes


@pytest.mark.parametrize("start", ["İ ", "\ud83d\ude00 "])
def test_what_follows_the_head_of_a_huge_text_is_not_prepared_either(start: str) -> None:
    """Lower-casing and mending keep track of characters, which takes a hundred bytes for each: of the head alone."""
    tokenizer, text = load(do_lower_case=True), start + "mars is red " * 100_000
    tracemalloc.start()
    try:
        [tokens] = tokenizer.documents([text])
        reading = tokenizer.read_document(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tokens.truncated
    assert len(reading.tokens) == tokens.scored.sum()
    assert peak < 16 * len(text)


@pytest.mark.parametrize(
    "text", ["deadbeef" * 400_000, "\u200b" * 3_000_000 + "mars", "a" + "\u0301" * 3_000_000]
)
def test_an_endless_word_is_not_read_to_its_end(text: str) -> None:
    """It has a token or none, however long it is: what the tokenizer takes for it has an end, and the rest counts as cut."""
    tokenizer = load()
    sizes = watched(tokenizer)
    [tokens] = tokenizer.documents([text])
    assert tokens.truncated
    reading = tokenizer.read_document(text)
    assert (len(reading.tokens), reading.truncated) == (tokens.scored.sum(), True)
    assert max(sizes) <= CHARACTERS_AT_ONCE < len(text)


def test_many_texts_are_tokenised_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tokenizer's library makes of a text takes a hundred times its room, and is gone before the next texts."""
    tokenizer, texts = load(), [f"planet {number} is far away" for number in range(300)] + ["mars " * 400]
    expected = [tokens.ids.tolist() for tokens in tokenizer.documents(texts)]
    monkeypatch.setattr("laterank.encoding.tokenization.CHARACTERS_AT_ONCE", 1000)
    sizes = watched(tokenizer)
    assert [tokens.ids.tolist() for tokens in tokenizer.documents(texts)] == expected
    assert max(sizes) <= 1000


@pytest.mark.parametrize("side", ["query", "document"])
def test_a_prompt_that_leaves_no_room_for_a_text_is_refused(side: str) -> None:
    """All texts would be the same to the model."""
    with pytest.raises(ModelFormatError, match=f'"{side}_prompt" has 90 tokens, and "{side}_length" leaves'):
        load(**{f"{side}_prompt": "mars " * 30})
    longer = load(**{f"{side}_prompt": "mars " * 30, f"{side}_length": 110})
    [one, other] = (
        longer.documents(["red", "moon"]) if side == "document" else longer.queries(["red", "moon"])
    )
    assert one.ids.tolist() != other.ids.tolist()
