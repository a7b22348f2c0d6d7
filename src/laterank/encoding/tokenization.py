"""Text to token ids: markers, expansion, truncation and the scoring mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.reading import Origins, Reading, Token, own_tokens
from laterank.encoding.vocabulary import Vocabulary
from laterank.encoding.windows import WINDOW_TOKENS, Span, windows
from laterank.model.config import ColbertConfig

__all__ = ["ColbertTokenizer", "Tokens"]

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One tokenised text.

    Attributes:
        ids: What the network reads. *Shape:* ``(tokens,)``
        attention: Which tokens the network attends to; False only for unattended expansion. *Shape:* ``(tokens,)``
        scored: Which tokens give a row; False for the skiplist. *Shape:* ``(tokens,)``
        truncated: Whether text was cut off.
        expanded: How many of the last tokens are expansion.
    """

    ids: Ids
    attention: Mask
    scored: Mask
    truncated: bool
    expanded: int = 0

    def __len__(self) -> int:
        return len(self.ids)


class ColbertTokenizer:
    """A model's tokenizer with the markers, the expansion and the skiplist of its config.

    The underlying tokenizer is set up once and only read afterwards, so threads may share it: switching padding or
    truncation per call is how peers get wrong lengths under load.
    """

    def __init__(self, path: Path, config: ColbertConfig) -> None:
        """Load ``tokenizer.json`` and look up every token that the config names.

        Raises:
            ModelFormatError: If the file is broken or lacks a marker or the mask token.
        """
        self._config = config
        self._vocabulary = vocabulary = Vocabulary(path, config)
        before, after = vocabulary.special_ids()
        self._query_head = _with_marker(before, vocabulary.marker_id("query"))
        self._document_head = _with_marker(before, vocabulary.marker_id("document"))
        self._tail = after
        self._start = before
        self._expansion_id = vocabulary.expansion_id()
        self._skiplist = np.array(sorted(vocabulary.skiplist()), dtype=np.int64)

    def queries(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise queries.

        ``[CLS] [Q] tokens [SEP] [MASK] ... [MASK]`` (ColBERT, arXiv 2004.12832, section 3.2): the mask tokens that
        fill a query up to ``query_length`` are scored like its own words.
        """
        prompt, longest = self._config.query_prompt, self._longest_query()
        pieces = self._truncated(texts, prompt=prompt, head=self._query_head, longest=longest)
        return [self._expanded(ids, cut=cut) for ids, cut in pieces]

    def documents(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise documents: ``[CLS] [D] tokens [SEP]``, at most ``document_length``, punctuation unscored."""
        prompt, longest = self._config.document_prompt, self._config.document_length
        pieces = self._truncated(texts, prompt=prompt, head=self._document_head, longest=longest)
        return [
            Tokens(ids, np.ones(len(ids), dtype=bool), self._document_mask(ids), truncated=cut)
            for ids, cut in pieces
        ]

    def read_query(self, text: str) -> Reading:
        """Tokenise a query and find each scored token in the caller's string."""
        [tokens] = self.queries([text])
        return self._reading(text, tokens, "query", self._query_head)

    def read_document(self, text: str) -> Reading:
        """Tokenise a document and find each scored token in the caller's string."""
        [tokens] = self.documents([text])
        return self._reading(text, tokens, "document", self._document_head)

    def windows(self, text: str, *, overlap: float, length: int = WINDOW_TOKENS) -> list[Span]:
        """Cut a document into windows of about ``length`` tokens, special ones included, that ``document_length`` lets pass."""
        room = min(length, self._config.document_length) - len(self._document_head) - len(self._tail)
        return self._windows(text, max(1, room), overlap)

    # --- text to windows ----------------------------------------------------------------------------------------------

    def _windows(self, text: str, room: int, overlap: float) -> list[Span]:
        """Cut a document into windows of so many tokens, each with the prompt before it.

        Read alone, a window that begins or ends within a word has other tokens there, and may have more than fit: it is cut
        again, into smaller ones.
        """
        origins = self._origins(text, self._config.document_prompt)
        [encoding] = self._vocabulary.encode_with_offsets([origins.seen], None)
        spans = [origins.span(start, end) for start, end in encoding.offsets]
        starts = list(accumulate((max(0, start) for start, end in spans if end > 0), max))
        own_room = max(1, room - (len(spans) - len(starts)))
        cut = windows(text, starts, room=own_room, overlap=overlap)
        if len(cut) == 1:
            return cut
        found: list[Span] = []
        read = self.documents([text[start:end] for start, end in cut])
        for (start, end), tokens in zip(cut, read, strict=True):
            again = [(0, end - start)]
            if tokens.truncated and room > 1:
                again = self._windows(text[start:end], room * 3 // 4, overlap)
            found += [(start + first, start + last) for first, last in again]
        return found

    # --- text to ids --------------------------------------------------------------------------------------------------

    def _longest_query(self) -> int | None:
        config = self._config
        longest = (
            config.query_length
            if config.query_expansion != "min"
            else config.max_query_length or config.max_length
        )
        return None if longest is None else max(longest, config.query_length)

    def _truncated(
        self, texts: Sequence[str], *, prompt: str, head: Ids, longest: int | None
    ) -> list[tuple[Ids, bool]]:
        """Tokenise, cutting the text's own tokens so that marker and separator stay."""
        room = None if longest is None else longest - len(head) - len(self._tail)
        seen = [self._origins(text, prompt).seen for text in texts]
        result = []
        for encoding in self._vocabulary.encode(seen, room):
            pieces = encoding.ids
            kept = np.array(pieces[:room], dtype=np.int64)
            result.append((np.concatenate([head, kept, self._tail]), len(kept) < len(pieces)))
        return result

    def _origins(self, text: str, prompt: str) -> Origins:
        strip, lower = self._config.strip_text, self._config.do_lower_case
        return Origins(text, prompt=prompt, strip=strip, lower=lower)

    def _reading(self, text: str, tokens: Tokens, side: str, head: Ids) -> Reading:
        """Find each scored token in the caller's string; the same encoding as before, this time with its offsets."""
        own = len(tokens) - tokens.expanded - len(head) - len(self._tail)
        origins = self._origins(text, getattr(self._config, f"{side}_prompt"))
        room = own if tokens.truncated else None
        [encoding] = self._vocabulary.encode_with_offsets([origins.seen], room)
        names = [self._vocabulary.name(token) for token in tokens.ids]
        start, end = len(self._start), len(head) + own
        marker = getattr(self._config, f"{side}_prefix")
        found = list(own_tokens(names[len(head) : end], encoding.offsets[:own], origins, text))
        everything = [
            *(Token(name, "start") for name in names[:start]),
            *(Token(marker or name, "marker") for name in names[start : len(head)]),
            *found,
            *(Token(name, "end") for name in names[end : end + len(self._tail)]),
            *(Token(name, "expansion") for name in names[end + len(self._tail) :]),
        ]
        scored = tuple(token for token, scored in zip(everything, tokens.scored, strict=True) if scored)
        read = max((token.end or 0 for token in found), default=0) if tokens.truncated else len(text)
        return Reading(scored, tokens.truncated, len(tokens), len(text), read)

    def _expanded(self, ids: Ids, *, cut: bool) -> Tokens:
        missing = max(0, self._config.query_length - len(ids)) if self._expansion_id is not None else 0
        attention = np.ones(len(ids) + missing, dtype=bool)
        scored = attention.copy()
        if missing:
            ids = np.concatenate([ids, np.full(missing, self._expansion_id, dtype=np.int64)])
            attention[-missing:] = self._config.attend_to_expansion_tokens
        if self._config.skip_query:
            scored &= ~np.isin(ids, self._skiplist)
        self._drop_start(scored)
        return Tokens(ids, attention, scored, truncated=cut, expanded=missing)

    def _document_mask(self, ids: Ids) -> Mask:
        scored = np.ones(len(ids), dtype=bool)
        if self._config.skip_document:
            scored &= ~np.isin(ids, self._skiplist)
        if self._config.keep_only_token_ids is not None:
            scored &= np.isin(ids, np.array(self._config.keep_only_token_ids, dtype=np.int64))
        self._drop_start(scored)
        return scored

    def _drop_start(self, scored: Mask) -> None:
        if self._config.drop_start_token and len(self._start):
            scored[0] = False


def _with_marker(before: Ids, marker: int | None) -> Ids:
    return before if marker is None else np.append(before, marker)
