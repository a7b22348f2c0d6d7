"""Whether a model's settings make sense together with its tokenizer: markers, expansion, skiplist, vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from laterank.diagnosis.finding import Finding, failed, from_error, ok, warning
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.errors import ModelFormatError
from laterank.model.config import ColbertConfig
from laterank.model.json_files import read_json

__all__ = ["check_markers", "check_skiplist", "check_tokenizer", "token_ids"]

QUERY_MARKERS = frozenset({"[Q]", "[unused0]", "[QueryMarker]"})
DOCUMENT_MARKERS = frozenset({"[D]", "[unused1]", "[DocumentMarker]"})
"""What colbert-ai, PyLate and jina name their markers."""

SPACES = "Ġ▁"
"""How byte-level and Unigram vocabularies write a space at the start of a token."""

PLAIN_TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps until the next morning."
MOST_UNKNOWN = 0.5


def check_tokenizer(path: Path, config: ColbertConfig) -> tuple[ColbertTokenizer | None, Finding]:
    """Load the tokenizer with the markers and the mask token that the settings name."""
    check = "tokenizer"
    try:
        tokenizer = ColbertTokenizer(path, config)
    except ModelFormatError as error:
        missing = "mask token" in str(error) or "expansion_token" in str(error)
        expected = (
            "the token that queries are expanded with"
            if missing
            else "a tokenizer with the markers that the settings name"
        )
        return None, from_error(check, error, expected=expected)
    [tokens] = tokenizer.documents([PLAIN_TEXT])
    unknown = token_ids(path).get(_unknown_token(path), -1)
    share = float((tokens.ids == unknown).mean())
    if share > MOST_UNKNOWN:
        found = f"{share:.0%} of the tokens of plain English are {_unknown_token(path)}"
        expected = "less than half, unless the model is for other languages"
        return tokenizer, warning(
            check, found, expected=expected, cure="copy tokenizer.json of this very model"
        )
    expansion = "queries are not expanded"
    if config.query_expansion != "none":
        expansion = f"queries are expanded to {config.query_length} tokens ({config.query_expansion})"
    return tokenizer, ok(check, f"{len(token_ids(path)):,} tokens; {expansion}")


def check_markers(config: ColbertConfig) -> Finding:
    """Look at the tokens that tell queries from documents."""
    check, query, document = "markers", config.query_prefix, config.document_prefix
    cure = "exchange query_prefix and document_prefix in the settings' file, or pass config={...} with both"
    if (query or "").strip() in DOCUMENT_MARKERS or (document or "").strip() in QUERY_MARKERS:
        found = f"queries are marked {query!r} and documents {document!r}, as if they were exchanged"
        expected = "the query's marker for queries, such as [Q] or [unused0]"
        return failed(check, found, expected=expected, cure=cure)
    if query is not None and query == document:
        return warning(
            check,
            f"queries and documents have the same marker, {query!r}",
            expected="one each, in most models",
            cure="compare with the model that was trained, and correct query_prefix or document_prefix",
        )
    named = query is not None or config.query_prefix_id is not None
    marked = (
        f"queries {query or config.query_prefix_id!r}, documents {document or config.document_prefix_id!r}"
    )
    return ok(check, marked if named else "none: this model has no markers")


def check_skiplist(known: Mapping[str, int], config: ColbertConfig) -> Finding:
    """Look at the words whose rows are left out of documents."""
    check, words = "skiplist", config.skiplist_words
    if not words:
        return ok(check, "empty: punctuation is scored like words")
    spoken = [word for word in words if any(sign.isalnum() for sign in word.lstrip(SPACES))]
    if spoken:
        return warning(
            check,
            f"{len(spoken)} words with letters or digits are left out of documents, such as {spoken[0]!r}",
            expected="punctuation, as models are trained",
            cure='correct "skiplist_words", or pass config={"skiplist_words": list(string.punctuation)}',
        )
    missing = [word for word in words if word not in known] if config.skiplist_match != "first_piece" else []
    if len(missing) > len(words) // 2:
        return warning(
            check,
            f"{len(missing)} of {len(words)} words are no tokens of this tokenizer, such as {missing[0]!r}, and drop nothing",
            expected="signs that are tokens, such as '.' and ','",
            cure='correct "skiplist_words" in the settings, or copy tokenizer.json of this very model',
        )
    return ok(check, f"{len(words) - len(missing)} signs give no rows of documents")


def token_ids(path: Path) -> dict[str, int]:
    """Return the ids of ``tokenizer.json``, added tokens among them.

    Raises:
        ModelFormatError: If the file is broken.
    """
    raw = read_json(path)
    try:
        vocabulary = raw["model"]["vocab"]
        if isinstance(vocabulary, list):  # Unigram: pieces with their scores, in the order of their ids
            vocabulary = {piece: number for number, (piece, *_) in enumerate(vocabulary)}
        return {**vocabulary, **dict(_added(raw))}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{path} has no vocabulary ({error!r}); save the model's fast tokenizer again"
        ) from error


def _added(raw: dict[str, list[dict[str, str | int]]]) -> Iterator[tuple[str, int]]:
    for token in raw.get("added_tokens") or []:
        yield str(token["content"]), int(token["id"])


def _unknown_token(path: Path) -> str:
    """Return the token for what is not in the vocabulary; empty where there is none."""
    model = read_json(path).get("model", {})
    if "unk_token" in model:
        return str(model["unk_token"] or "")
    number = model.get("unk_id")
    return str(model["vocab"][number][0]) if isinstance(number, int) else ""
