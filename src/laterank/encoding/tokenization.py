"""Text to token ids: markers, expansion, truncation and the scoring mask."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.batching import rounds
from laterank.encoding.marks import has_fewer_marks, has_mark
from laterank.encoding.reading import Origins, Reading, Token, own_tokens
from laterank.encoding.vocabulary import Encoding, Vocabulary
from laterank.encoding.windows import WINDOW_TOKENS, Span, stretches, windows
from laterank.errors import ModelFormatError
from laterank.model.config import ColbertConfig

__all__ = ["ColbertTokenizer", "Tokens"]

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

CHARACTERS_PER_TOKEN = 12
"""A first guess, far above what text has, of how much of a huge text the tokenizer must see."""
CHARACTERS_AT_ONCE = 1 << 20
"""Characters that are tokenised together, for each of which the tokenizer takes some 100 bytes. Of a text that still has not
enough tokens for the model, such as an endless word or invisible marks, no more is looked at."""


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


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands around a text.

    Attributes:
        side: Which texts these are.
        head: The start token and the marker.
        prompt: What the model wants before a text.
        prompt_tokens: How many tokens that is.
        room: How many tokens of prompt and text are read; None for all.
    """

    side: Literal["query", "document"]
    head: Ids
    prompt: str
    prompt_tokens: int
    room: int | None


class ColbertTokenizer:
    """A model's tokenizer with the markers, the expansion and the skiplist of its config.

    The underlying tokenizer is set up once and only read afterwards, so threads may share it: switching padding or
    truncation per call is how peers get wrong lengths under load.
    """

    def __init__(self, path: Path, config: ColbertConfig) -> None:
        """Load ``tokenizer.json`` and look up every token that the config names.

        Raises:
            ModelFormatError: If the file is broken or lacks a marker or the mask token, or a prompt leaves no room for a text.
        """
        self._config = config
        self._vocabulary = vocabulary = Vocabulary(path, config)
        before, after = vocabulary.special_ids()
        self._tail = after
        self._query = self._frame("query", _with_marker(before, vocabulary.marker_id("query")))
        self._document = self._frame("document", _with_marker(before, vocabulary.marker_id("document")))
        self._start = before
        self._expansion_id = vocabulary.expansion_id()
        self._skiplist = np.array(sorted(vocabulary.skiplist()), dtype=np.int64)
        self._skips_marks_alone = config.keep_only_token_ids is None and (
            not config.skip_document or all(has_mark(vocabulary.name(token)) for token in self._skiplist)
        )

    def queries(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise queries.

        ``[CLS] [Q] tokens [SEP] [MASK] ... [MASK]`` (ColBERT, arXiv 2004.12832, section 3.2): the mask tokens that
        fill a query up to ``query_length`` are scored like its own words.
        """
        return [self._expanded(ids, cut=cut) for ids, cut in self._truncated(texts, self._query)]

    def documents(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise documents: ``[CLS] [D] tokens [SEP]``, at most ``document_length``, punctuation unscored."""
        return [
            Tokens(ids, np.ones(len(ids), dtype=bool), self._document_mask(ids), truncated=cut)
            for ids, cut in self._truncated(texts, self._document)
        ]

    def surely_whole(self, text: str, rows: int) -> bool:
        """Tell by its number of rows, without tokenising, that a document was not cut; False where that proves nothing.

        A cut document has ``document_length`` tokens: its rows, and those without one. Of its own, those are no more than the
        marks in it where only marks are skipped.
        """
        frame, length = self._document, self._config.document_length
        around, seen = len(frame.head) + len(self._tail), frame.prompt + text
        if (
            not self._skips_marks_alone
            or rows + around >= length
            or len(seen) > length * CHARACTERS_PER_TOKEN
        ):
            return False
        return not self._config.skip_document or has_fewer_marks(seen, length - rows - around)

    def read_query(self, text: str) -> Reading:
        """Tokenise a query and find each scored token in the caller's string."""
        [tokens] = self.queries([text])
        return self._reading(text, tokens, self._query)

    def read_document(self, text: str) -> Reading:
        """Tokenise a document and find each scored token in the caller's string."""
        [tokens] = self.documents([text])
        return self._reading(text, tokens, self._document)

    def windows(self, text: str, *, overlap: float, length: int = WINDOW_TOKENS) -> list[Span]:
        """Cut a document into windows of about ``length`` tokens that ``document_length`` lets pass.

        Special tokens are among them. The prompt is not: a long one would leave a window without a text.
        """
        frame = self._document
        longest = min(length, self._config.document_length - frame.prompt_tokens)
        return self._windows(text, max(1, longest - len(frame.head) - len(self._tail)), overlap)

    # --- text to windows ----------------------------------------------------------------------------------------------

    def _windows(self, text: str, room: int, overlap: float) -> list[Span]:
        """Cut a document into windows of so many tokens of its own.

        Read alone, a window that begins or ends within a word has other tokens there, and may have more than fit: it is cut
        again, into smaller ones.
        """
        starts = self._token_starts(text)
        cut = windows(text, starts, room=room, overlap=overlap)
        smaller = min(room, len(starts)) * 3 // 4
        found: list[Span] = []
        read = self._truncated([text[start:end] for start, end in cut], self._document)
        for (start, end), (_, is_cut) in zip(cut, read, strict=True):
            again = [(0, end - start)]
            if is_cut and smaller:
                again = self._windows(text[start:end], smaller, overlap)
            found += [(start + first, start + last) for first, last in again]
        return found

    def _token_starts(self, text: str) -> array[int]:
        """Return the first character of each token, in the memory of a stretch of the text and 8 bytes a token."""
        starts, before = array("q"), 0
        if self._config.strip_text:
            before, text = len(text) - len(text.lstrip()), text.strip()
        for first, last in stretches(text, CHARACTERS_AT_ONCE):
            origins = Origins(text[first:last], lower=self._config.do_lower_case)
            [encoding] = self._vocabulary.encode_with_offsets([origins.seen])
            furthest = before + first
            for offsets in encoding.offsets:
                furthest = max(furthest, before + first + origins.span(*offsets)[0])
                starts.append(furthest)
        return starts

    # --- text to ids --------------------------------------------------------------------------------------------------

    def _longest_query(self) -> int | None:
        config = self._config
        longest = (
            config.query_length
            if config.query_expansion != "min"
            else config.max_query_length or config.max_length
        )
        return None if longest is None else max(longest, config.query_length)

    def _frame(self, side: Literal["query", "document"], head: Ids) -> _Frame:
        longest = self._config.document_length if side == "document" else self._longest_query()
        prompt: str = getattr(self._config, f"{side}_prompt")
        [encoding] = self._vocabulary.encode([self._origins("", prompt, None).seen])
        room = None if longest is None else longest - len(head) - len(self._tail)
        if room is not None and len(encoding) >= room:
            raise ModelFormatError(
                f'"{side}_prompt" has {len(encoding)} tokens, and "{side}_length" leaves {room} for it and the text, '
                f'which would not be read; pass config={{"{side}_length": ...}} with more, or a shorter prompt'
            )
        return _Frame(side, head, prompt, len(encoding), room)

    def _truncated(self, texts: Sequence[str], frame: _Frame) -> Iterator[tuple[Ids, bool]]:
        """Tokenise, cutting the text's own tokens so that marker and separator stay."""
        most = _most_characters(frame.room)
        sizes = (len(text) if most is None else min(len(text), most) for text in texts)
        for some in rounds(texts, sizes, most=CHARACTERS_AT_ONCE):
            for origins, encoding in self._encodings(some, frame, self._vocabulary.encode):
                pieces = encoding.ids
                kept = np.array(pieces[: frame.room], dtype=np.int64)
                cut = origins.is_cut or len(kept) < len(pieces)
                yield np.concatenate([frame.head, kept, self._tail]), cut

    def _encodings(
        self, texts: Sequence[str], frame: _Frame, encode: Callable[[list[str]], list[Encoding]]
    ) -> list[tuple[Origins, Encoding]]:
        """Return what the tokenizer sees of each text, and its tokens: of a huge one, more than are read but not all."""
        most, room = _most_characters(frame.room), frame.room
        origins = [self._origins(text, frame.prompt, most) for text in texts]
        encodings = encode([seen.seen for seen in origins])
        for index, text in enumerate(texts):
            # more of a huge text whose tokens are few and long, until they are enough or it ends
            reach = most
            while room is not None and reach is not None and reach < CHARACTERS_AT_ONCE:
                if not origins[index].is_cut or len(encodings[index]) >= 2 * room:
                    break
                reach = min(8 * reach, CHARACTERS_AT_ONCE)
                origins[index] = self._origins(text, frame.prompt, reach)
                [encodings[index]] = encode([origins[index].seen])
        return list(zip(origins, encodings, strict=True))

    def _origins(self, text: str, prompt: str, most: int | None) -> Origins:
        strip, lower = self._config.strip_text, self._config.do_lower_case
        return Origins(text, prompt=prompt, strip=strip, lower=lower, most=most)

    def _reading(self, text: str, tokens: Tokens, frame: _Frame) -> Reading:
        """Find each scored token in the caller's string; the same encoding as before, this time with its offsets."""
        head = frame.head
        own = len(tokens) - tokens.expanded - len(head) - len(self._tail)
        [(origins, encoding)] = self._encodings([text], frame, self._vocabulary.encode_with_offsets)
        names = [self._vocabulary.name(token) for token in tokens.ids]
        start, end = len(self._start), len(head) + own
        marker = getattr(self._config, f"{frame.side}_prefix")
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


def _most_characters(room: int | None) -> int | None:
    return None if room is None else room * CHARACTERS_PER_TOKEN
