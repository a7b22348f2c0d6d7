"""Columns: how wide a text is, how to cut it, and whether a terminal has colours."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from itertools import accumulate
from unicodedata import category, combining, east_asian_width

__all__ = [
    "Style",
    "asked_for_plain",
    "columns_of",
    "fitted",
    "padded",
    "shortened",
    "terminal_width",
    "wrapped",
]

JOINER, EMOJI_STYLE = "\u200d", "\ufe0f"
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)
HANGUL_INNER = range(0x1160, 0x1200)
DEFAULT_WIDTH, LEAST_WIDTH = 100, 40


def asked_for_plain() -> bool:
    """Tell whether the environment wants text without escapes: ``NO_COLOR`` (no-color.org), or a dumb terminal."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


class Style:
    """ANSI escapes, or nothing where colours are off."""

    def __init__(self, color: bool | None) -> None:  # noqa: FBT001
        """Decide for colours: None for only on a terminal, where the environment does not want plain text."""
        if color is None:
            color = not asked_for_plain() and sys.stdout is not None and sys.stdout.isatty()
        self.color = color

    def bold(self, text: str) -> str:
        """Make it stand out."""
        return self._in("1", text)

    def dim(self, text: str) -> str:
        """Make it stand back."""
        return self._in("2", text)

    def warm(self, text: str) -> str:
        """Colour what speaks for a document."""
        return self._in("33", text)

    def cool(self, text: str) -> str:
        """Colour what speaks against it."""
        return self._in("36", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and text else text


def terminal_width(width: int | None) -> int:
    """Return the columns to fill: as asked, else the terminal's, else 100."""
    if width is None:
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns if on_terminal else DEFAULT_WIDTH
    return max(width, LEAST_WIDTH)


def columns_of(text: str) -> int:
    """Return how many columns a terminal gives a text: two for wide characters, none for marks."""
    return sum(width for _, width in _clusters(text))


def fitted(text: str, columns: int) -> str:
    """Cut a text to a number of columns, with an ellipsis where it was cut."""
    if columns_of(text) <= columns:
        return text
    return _start(text, columns - 1) + "…" if columns > 0 else ""


def shortened(text: str, columns: int) -> str:
    """Cut the middle out of a text that takes more columns: names are told apart by their beginnings, or by their ends."""
    if columns_of(text) <= columns:
        return text
    half = (columns - 1) // 2
    clusters = list(_clusters(text))
    reached = accumulate(width for _, width in reversed(clusters))
    kept = sum(width <= half for width in reached)
    return f"{_start(text, half)}…{''.join(cluster for cluster, _ in clusters[len(clusters) - kept :])}"


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Cut and fill a text to exactly so many columns."""
    text = fitted(text, columns)
    blanks = " " * (columns - columns_of(text))
    return blanks + text if right else text + blanks


def wrapped(text: str, columns: int) -> Iterator[str]:
    """Break a text into lines at blanks, or within a word that is longer than a line."""
    line = ""
    for word in text.split():
        while columns_of(word) > columns:
            if line:
                yield line
                line = ""
            head = _start(word, columns)
            yield head
            word = word[len(head) :]
        joined = f"{line} {word}" if line else word
        if columns_of(joined) > columns:
            yield line
            joined = word
        line = joined
    if line:
        yield line


def _start(text: str, columns: int) -> str:
    kept, used = "", 0
    for cluster, width in _clusters(text):
        if used + width > columns:
            break
        kept, used = kept + cluster, used + width
    return kept


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield what a terminal draws in one place, with its width. Not all of UAX #29, but marks, emoji and flags."""
    cluster, width, joined = "", 0, False
    for character in text:
        flag = len(cluster) == 1 and ord(cluster) in FLAG_LETTERS and ord(character) in FLAG_LETTERS
        if cluster and (flag or _adds_no_width(character) or (joined and category(character) == "So")):
            cluster += character
            widens = character == EMOJI_STYLE and width and not cluster[0].isspace()
            width = 2 if flag or widens else width
        else:
            if cluster:
                yield cluster, width
            cluster, width = character, 0 if _adds_no_width(character) else _width(character)
        joined = (
            character == JOINER and category(cluster[0]) == "So"
        )  # pictures alone, never a blank (UAX #29, GB11)
    if cluster:
        yield cluster, width


def _adds_no_width(character: str) -> bool:
    code = ord(character)
    invisible = combining(character) or category(character) in ("Mn", "Me", "Cf")
    return bool(invisible) or code in SKIN_TONES or code in HANGUL_INNER


def _width(character: str) -> int:
    return 2 if east_asian_width(character) in "WF" or ord(character) in FLAG_LETTERS else 1
