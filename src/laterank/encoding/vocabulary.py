"""A model's ``tokenizer.json``: the tokens of a text, and the ids of those that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from laterank.errors import ModelFormatError
from laterank.model.config import ColbertConfig
from laterank.model.json_files import read_json

if TYPE_CHECKING:
    import tokenizers
    from tokenizers import Tokenizer

__all__ = ["Encoding", "Vocabulary"]

Encoding: TypeAlias = "tokenizers.Encoding"
"""A text's tokens as the library gives them: ``ids``, and ``offsets`` of characters."""

Ids = NDArray[np.int64]

BYTE_LEVEL_SPACE = "Ġ"
"""How byte-level vocabularies write a space at the start of a token."""


class Vocabulary:
    """The tokens that a model knows. They are set up once and only read afterwards, so threads may share them."""

    def __init__(self, path: Path, config: ColbertConfig) -> None:
        """Load ``tokenizer.json``.

        Raises:
            ModelFormatError: If the file is broken.
        """
        self._config = config
        self._path = path
        self.tokenizer = _load(path, config)

    # --- the tokens of a text -----------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Return each text's tokens without special ones."""
        return self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        """Return the same tokens with the characters that each stands for, which takes longer."""
        return self.tokenizer.encode_batch(texts, add_special_tokens=False)

    # --- looking tokens up --------------------------------------------------------------------------------------------

    def name(self, token: int) -> str:
        """Return a token as the vocabulary writes it."""
        return self.tokenizer.id_to_token(int(token)) or ""

    def special_ids(self) -> tuple[Ids, Ids]:
        """Return the ids that the tokenizer puts before and after a text.

        Raises:
            ModelFormatError: If it makes no token of a text.
        """
        encoding = self.tokenizer.encode("a")
        ids, special = (
            np.array(encoding.ids, dtype=np.int64),
            np.array(encoding.special_tokens_mask, dtype=bool),
        )
        own = np.flatnonzero(~special)
        if not len(own):
            raise ModelFormatError(
                f'{self._path} makes no token of the text "a"; save the model\'s fast tokenizer again'
            )
        return ids[: own[0]], ids[own[-1] + 1 :]

    def marker_id(self, side: str) -> int | None:
        """Return the id of the marker of a ``"query"`` or a ``"document"``; None where the model has none.

        Raises:
            ModelFormatError: If the file lacks it, or gives it another id than the settings do.
        """
        name, given = f"{side}_prefix", getattr(self._config, f"{side}_prefix_id")
        marker = getattr(self._config, name)
        found = self.tokenizer.token_to_id(marker) if marker else None
        if given is not None and found is not None and found != given:
            raise ModelFormatError(
                f'{self._path} gives "{name}" {marker!r} the id {found}, the settings say {given}; '
                f'pass config={{"{name}_id": {found}}} or correct the files'
            )
        if marker and found is None and given is None:
            raise ModelFormatError(
                f'{self._path} lacks the token {marker!r} that "{name}" names; '
                f'pass config={{"{name}": "..."}} with a token that it has, or "{name}_id"'
            )
        if given is not None and not 0 <= given < self.tokenizer.get_vocab_size():
            raise ModelFormatError(
                f'"{name}_id" is {given}, but {self._path} has {self.tokenizer.get_vocab_size()} tokens'
            )
        return found if given is None else given

    def expansion_id(self) -> int | None:
        """Return the id of the token that queries are expanded with; None where they are not.

        Raises:
            ModelFormatError: If the file lacks it, or gives it another id than the settings do.
        """
        config, size = self._config, self.tokenizer.get_vocab_size()
        if config.query_expansion == "none":
            return None
        token = config.expansion_token or _mask_token(self._path.parent)
        found: int | None = self.tokenizer.token_to_id(token) if token else None
        given = config.expansion_token_id
        if given is not None and (given >= size or found not in (None, given)):
            raise ModelFormatError(
                f'"expansion_token_id" is {given}, but {self._path} has {size} tokens and gives {token!r} the id {found}; '
                'pass config={"expansion_token": "..."} or correct the files'
            )
        if found is None and given is None:
            raise ModelFormatError(
                f"{self._path} has no mask token{f' {token!r}' if token else ''}, which queries are expanded with; "
                'pass config={"expansion_token": "..."} or config={"query_expansion": "none"}'
            )
        return found if given is None else given

    def skiplist(self) -> set[int]:
        """Return the token ids of the skiplist's words, by the rule that the model was trained with."""
        words, match = self._config.skiplist_words, self._config.skiplist_match
        if match == "first_piece":
            return {
                piece
                for word in words
                for piece in self.tokenizer.encode(word, add_special_tokens=False).ids[:1]
            }
        tokens = [*words, *(f"{BYTE_LEVEL_SPACE}{word}" for word in words)] if match == "spaced" else words
        return {found for token in tokens if (found := self.tokenizer.token_to_id(token)) is not None}


def _load(path: Path, config: ColbertConfig) -> Tokenizer:
    """Load a tokenizer that reads ``[MASK]`` or a marker in a user's text as text, without padding or truncation."""
    from tokenizers import Tokenizer

    markers = {config.query_prefix, config.document_prefix, config.expansion_token}
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        for token in tokenizer.get_added_tokens_decoder().values():
            if token.content in markers and not token.special:
                token.special = True
                tokenizer.add_special_tokens([token])
    except Exception as error:  # the library raises bare Exception
        raise ModelFormatError(
            f"{path} is no tokenizer that can be loaded: {error}; download or copy it again"
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _mask_token(folder: Path) -> str | None:
    """Return the mask token that the tokenizer's own files name, else the end token, as PyLate does for decoders."""
    for role in ("mask_token", "eos_token"):
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            token = read_json(folder / name).get(role) if (folder / name).is_file() else None
            if token:
                return str(token.get("content")) if isinstance(token, dict) else str(token)
    return None
