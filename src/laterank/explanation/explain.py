"""From an encoder's rows and readings to explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from laterank.checks import is_blank
from laterank.encoding.protocol import Encoder, encoded_queries
from laterank.encoding.reading import Reading, Window
from laterank.encoding.windows import Span
from laterank.errors import CacheError, InputError
from laterank.explanation.alignment import align
from laterank.explanation.single import Explanation
from laterank.rows import StoredRows, as_float32
from laterank.scale import Scale
from laterank.scoring import maxsim

__all__ = ["ReadingEncoder", "explain_documents"]


Rows = NDArray[np.float32]


@runtime_checkable
class ReadingEncoder(Protocol):
    """What explanations need of an encoder beside its rows."""

    @property
    def name(self) -> str:
        """The model's name, for people."""

    def read_query(self, text: str) -> Reading:
        """Return the token behind each row that ``encode_queries`` gives."""

    def read_document(self, text: str) -> Reading:
        """Return the tokens behind the rows that ``encode_documents`` gives."""


def explain_documents(
    query: str,
    documents: Sequence[str],
    *,
    encoder: Encoder,
    scale: Scale,
    document_rows: Callable[[Sequence[str]], list[StoredRows]],
    document_windows: Callable[[Sequence[str]], Sequence[Sequence[Span]]],
) -> list[Explanation]:
    """Explain the score of each document, from the same rows that a ranking scores.

    Args:
        query: A question that is not blank.
        documents: The documents, in any order.
        encoder: The model.
        scale: What the score is given as.
        document_rows: Gives each text's rows, from a cache where they are there.
        document_windows: Gives the characters of each document's windows, of which the best is explained; one for a
            document that is read as it is.

    Raises:
        InputError: If the encoder cannot tell its tokens.
        CacheError: If a document has not the rows that its tokens give.
    """
    if not isinstance(encoder, ReadingEncoder):
        raise InputError(
            f"{type(encoder).__name__} has no methods read_query() and read_document(), which explanations need; "
            "use a ColbertEncoder"
        )
    [query_rows] = encoded_queries(encoder, [query])
    query_reading, [query_tokens] = encoder.read_query(query), scale.count_tokens([query])
    distinct = list(dict.fromkeys(documents))
    spans_of = dict(zip(distinct, document_windows(distinct), strict=True))
    pieces = dict.fromkeys(text[start:end] for text, spans in spans_of.items() for start, end in spans)
    readable = [piece for piece in pieces if not is_blank(piece)]
    rows_of = dict(zip(readable, document_rows(readable) if readable else [], strict=True))
    explained: dict[str, Explanation] = {}
    for text, spans in spans_of.items():
        rows, total, reading = _best(text, spans, query_rows, rows_of, encoder)
        [score] = scale.scores(total, query_rows=len(query_rows), query_tokens=query_tokens)
        matches = (
            align(
                query_rows,
                as_float32(rows),
                query_tokens=query_reading.tokens,
                document_tokens=reading.tokens,
                pooled=reading.pooled,
            )
            if len(rows)
            else ()
        )
        explained[text] = Explanation(
            query=query,
            document=text,
            model=encoder.name,
            score=score,
            scale=scale.kind,
            maxsim=float(total[0]) if len(rows) else None,
            matches=matches,
            query_reading=query_reading,
            document_reading=reading,
        )
    return [explained[text] for text in documents]


def _best(
    text: str,
    spans: Sequence[Span],
    query_rows: Rows,
    rows_of: Mapping[str, StoredRows],
    encoder: ReadingEncoder,
) -> tuple[StoredRows, Rows, Reading]:
    """Return the rows of a document's best window, their sum (*Shape:* ``(1,)``) and their tokens in the document."""
    candidates: list[StoredRows] = [rows_of.get(text[start:end], query_rows[:0]) for start, end in spans]
    sums = np.array(
        [maxsim(query_rows, [rows])[0] if len(rows) else -np.inf for rows in candidates], dtype=np.float32
    )
    number = int(np.argmax(sums))
    (start, end), rows = spans[number], candidates[number]
    reading = encoder.read_document(text[start:end])
    if text[start:end] in rows_of and len(rows) != reading.row_count:
        raise CacheError(
            f"{encoder.name} makes {reading.row_count} rows of the {len(reading.tokens)} tokens of a document that has "
            f"{len(rows)} rows; clear the cache"
        )
    if len(spans) > 1:
        reading = reading.within(text, Window(start, end, number + 1, len(spans)))
    return rows, sums[number : number + 1], reading
