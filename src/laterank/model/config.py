"""What a ColBERT model was trained with: markers, lengths, expansion, skiplist."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from laterank.errors import InputError, ModelFormatError

__all__ = ["ColbertConfig", "QueryExpansion", "SkiplistMatch", "build_config", "check_settings"]

QueryExpansion = Literal["fixed", "min", "none"]
SkiplistMatch = Literal["token", "first_piece", "spaced"]

MIN_LENGTH = 8
"""Room for the special tokens, the marker and a few words; anything shorter is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColbertConfig:
    """The settings of one late-interaction model, under the names that PyLate uses.

    Normally read from the model's own files; pass one (or a mapping of single settings) as ``config=`` to
    ``ColbertEncoder.from_pretrained`` where a file is missing or wrong.

    Attributes:
        query_prefix: Marker token inserted after the start token of a query; None for a model without markers.
        document_prefix: The same for documents.
        query_length: Tokens of a query, special tokens and marker included. The exact length under ``fixed``
            expansion, the least under ``min``, the most under ``none``.
        document_length: The most tokens of a document, special tokens and marker included.
        query_expansion: ``fixed`` pads a query with mask tokens to ``query_length`` and truncates to it
            (ColBERT, arXiv 2004.12832, section 3.2), ``min`` pads but never truncates to it, ``none`` does neither.
        attend_to_expansion_tokens: Whether the model's attention sees the mask tokens (jina-colbert-v2) or not.
        expansion_token: The token that fills up a query; None for the tokenizer's own mask token.
        skiplist_words: Words whose token gives no document row (punctuation, as a rule).
        skiplist_match: How such a word becomes a token id: ``token`` looks it up in the vocabulary (PyLate),
            ``first_piece`` tokenises it and takes the first piece (colbert-ai, fastembed), ``spaced`` is ``token`` and
            on byte-level vocabularies also the same sign after a space, which all of these leave in.
        query_prompt: Text put before every query, after the marker.
        document_prompt: Text put before every document, after the marker.
        strip_text: Whether blanks around a text are cut off, as PyLate does; only byte-level vocabularies see them.
        do_lower_case: Whether text is lower-cased before the tokenizer sees it.
        query_prefix_id: The marker's token id, for models whose tokenizer has no name for it.
        document_prefix_id: The same for documents.
        expansion_token_id: The expansion token's id, for the same reason.
        max_query_length: The most tokens of a query under ``min``; None for as many as the network takes.
        keep_only_token_ids: If given, only these tokens of a document give rows.
        skip_query: Whether the skiplist applies to queries, expansion included.
        skip_document: Whether it applies to documents.
        drop_start_token: Whether the start token's row is left out on both sides (BGE-M3).
        max_length: The most positions that the network has; None where nothing says.
        output: The graph's output with a row a token; only needed where several have one and none has a known name.
        projected: Whether the graph ends with the projection; only asked where its output's size does not tell.
        embedding_size: Numbers in a token embedding; None to take it from the projection or the graph.
        matryoshka_dims: Sizes that an embedding was trained to be truncated to (Matryoshka, arXiv 2205.13147); empty for
            a model that was not trained for any.
    """

    query_prefix: str | None
    document_prefix: str | None
    query_length: int
    document_length: int
    query_expansion: QueryExpansion = "fixed"
    attend_to_expansion_tokens: bool = False
    expansion_token: str | None = None
    skiplist_words: tuple[str, ...] = tuple(string.punctuation)
    skiplist_match: SkiplistMatch = "token"
    query_prompt: str = ""
    document_prompt: str = ""
    strip_text: bool = False
    do_lower_case: bool = False
    query_prefix_id: int | None = None
    document_prefix_id: int | None = None
    expansion_token_id: int | None = None
    max_query_length: int | None = None
    keep_only_token_ids: tuple[int, ...] | None = None
    skip_query: bool = False
    skip_document: bool = True
    drop_start_token: bool = False
    max_length: int | None = None
    output: str | None = None
    projected: bool | None = None
    embedding_size: int | None = None
    matryoshka_dims: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("skiplist_words", "keep_only_token_ids", "matryoshka_dims"):
            value = getattr(self, name)
            if isinstance(value, list):  # as JSON gives it
                object.__setattr__(self, name, tuple(value))
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), str(field.type))
        _check_choice("query_expansion", self.query_expansion, get_args(QueryExpansion))
        _check_choice("skiplist_match", self.skiplist_match, get_args(SkiplistMatch))
        _check_numbers(self)
        for name in ("query_length", "document_length", "max_query_length"):
            length = getattr(self, name)
            if length is None:
                continue
            if length < MIN_LENGTH:
                raise InputError(f"{name} is {length}, expected at least {MIN_LENGTH} tokens")
            if self.max_length is not None and length > self.max_length:
                raise InputError(
                    f"{name} is {length}, but the network has only {self.max_length} positions; "
                    f'pass config={{"{name}": {self.max_length}}} or less'
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, for JSON and for the cache's key."""
        return asdict(self)


def _check_numbers(config: ColbertConfig) -> None:
    """Refuse ids below 0 and sizes below 1."""
    least = {"query_prefix_id": 0, "document_prefix_id": 0, "expansion_token_id": 0, "keep_only_token_ids": 0}
    least |= {"max_length": 1, "embedding_size": 1, "matryoshka_dims": 1}
    for name, bound in least.items():
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if any(number < bound for number in numbers):
            raise InputError(f"{name} is {value!r}, expected numbers of at least {bound}")


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "tuple": (tuple,),
    "None": (type(None),),
}


def _check_type(name: str, value: object, annotation: str) -> None:
    parts = [part.strip().split("[")[0] for part in annotation.split("|")]
    accepted = tuple(kind for part in parts for kind in _TYPES.get(part, (str,)))
    if isinstance(value, bool) and bool not in accepted:
        accepted = ()  # True is no length
    if not isinstance(value, accepted):
        raise InputError(f"{name} is {value!r}, expected {annotation}")
    if isinstance(value, tuple):
        element = str if "str" in annotation else int
        wrong = [item for item in value if not isinstance(item, element)]
        if wrong:
            raise InputError(f"{name} holds {wrong[0]!r}, expected {annotation}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that no config can have, before they are mixed with those from files.

    Raises:
        InputError: If a name is no setting or a value is not of its type.
    """
    known = [field.name for field in fields(ColbertConfig)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(
            f"no such setting: {', '.join(map(repr, unknown))}; expected any of {', '.join(known)}"
        )
    blank = {
        "query_prefix": None,
        "document_prefix": None,
        "query_length": MIN_LENGTH,
        "document_length": MIN_LENGTH,
    }
    ColbertConfig(**{**blank, **settings})


def build_config(settings: Mapping[str, Any], *, source: str) -> ColbertConfig:
    """Make a config out of settings read from files, so that an error names the files.

    Raises:
        ModelFormatError: If a setting is missing or has the wrong type.
    """
    for name in ("query_prefix", "document_prefix", "query_length", "document_length"):
        if name not in settings:
            raise ModelFormatError(
                f'{source} lacks "{name}"; pass config={{"{name}": ...}} or a whole ColbertConfig'
            )
    try:
        return ColbertConfig(**settings)
    except InputError as error:
        raise ModelFormatError(f"{source}: {error}") from error
