"""From an encoder's rows and readings to explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from laterank.checks import is_blank
from laterank.encoding.protocol import Encoder
from laterank.encoding.reading import Reading
from laterank.errors import CacheError, InputError
from laterank.explanation.alignment import align
from laterank.explanation.single import Explanation
from laterank.rows import StoredRows, as_float32
from laterank.scale import Scale
from laterank.scoring import maxsim

__all__ = ["ReadingEncoder", "explain_documents"]


@runtime_checkable
class ReadingEncoder(Protocol):
    """What explanations need of an encoder beside its rows."""

    def read_query(self, text: str) -> Reading:
        """Return the token behind each row that ``encode_queries`` gives."""

    def read_document(self, text: str) -> Reading:
        """Return the token behind each row that ``encode_documents`` gives."""


def explain_documents(
    query: str,
    documents: Sequence[str],
    *,
    encoder: Encoder,
    scale: Scale,
    document_rows: Callable[[Sequence[str]], list[StoredRows]],
) -> list[Explanation]:
    """Explain the score of each document, from the same rows that a ranking scores.

    Args:
        query: A question that is not blank.
        documents: The documents, in any order.
        encoder: The model.
        scale: What the score is given as.
        document_rows: Gives each text's rows, from a cache where they are there.

    Raises:
        InputError: If the encoder cannot tell its tokens.
        CacheError: If a document has not one row a token.
    """
    if not isinstance(encoder, ReadingEncoder):
        raise InputError(
            f"{type(encoder).__name__} has no methods read_query() and read_document(), which explanations need; "
            "use a ColbertEncoder"
        )
    [query_rows] = encoder.encode_queries([query])
    query_reading, [query_tokens] = encoder.read_query(query), scale.count_tokens([query])
    readable = list(dict.fromkeys(text for text in documents if not is_blank(text)))
    rows_of = dict(zip(readable, document_rows(readable) if readable else [], strict=True))
    explained: dict[str, Explanation] = {}
    for text in dict.fromkeys(documents):
        rows, reading = rows_of.get(text, query_rows[:0]), encoder.read_document(text)
        if text in rows_of and len(rows) != len(reading.tokens):
            raise CacheError(
                f"{encoder.name} reads {len(reading.tokens)} tokens of a document that has {len(rows)} rows; "
                "clear the cache"
            )
        total = maxsim(query_rows, [rows]) if len(rows) else np.array([-np.inf], dtype=np.float32)
        [score] = scale.scores(total, query_rows=len(query_rows), query_tokens=query_tokens)
        matches = (
            align(
                query_rows,
                as_float32(rows),
                query_tokens=query_reading.tokens,
                document_tokens=reading.tokens,
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
