"""Marks of punctuation in a text, counted without a tokenizer."""

from __future__ import annotations

import re
import string
import unicodedata

__all__ = ["has_fewer_marks", "has_mark"]

ASCII_MARKS = string.punctuation.encode("ascii")
MARK = re.compile(r"[^\w\s]|_")
MARKS_IN_ONE = 4
"""The most marks that Unicode's compatibility decomposition (NFKD), of which all tokenizers' are parts, finds in a character."""


def has_mark(token: str) -> bool:
    """Tell whether a token stands for at least one mark of ASCII."""
    return any(character in string.punctuation for character in token)


def has_fewer_marks(text: str, than: int) -> bool:
    """Tell whether a text has fewer marks than that, however a tokenizer takes its characters apart: U+2026 holds three."""
    plain = text.encode("ascii", "ignore")
    others = len(text) - len(plain)
    marks = len(plain) - len(plain.translate(None, ASCII_MARKS))
    if marks + MARKS_IN_ONE * others < than:
        return True
    return others > 0 and len(MARK.findall(unicodedata.normalize("NFKD", text))) < than
