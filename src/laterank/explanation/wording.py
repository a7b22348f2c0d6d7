"""What tokens, scores and readings are called, on every face."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from unicodedata import bidirectional, category, east_asian_width

from laterank.encoding.reading import Reading, Token
from laterank.explanation.terminal import shortened

if TYPE_CHECKING:
    from laterank.explanation.alignment import Match
    from laterank.explanation.single import Explanation

__all__ = [
    "direction",
    "displayable",
    "headline",
    "label",
    "met_name",
    "one_line",
    "percent",
    "reading_note",
    "score_note",
]

ROLE_NAMES = {
    "start": "start token",
    "marker": "marker",
    "prompt": "prompt",
    "end": "end token",
    "expansion": "expansion",
    "text": "blank",
}
DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Invisible characters that turn the direction of what follows, beyond the text that they are in."""
LONGEST_LABEL = 24
"""Columns."""
MOST_OF_A_LINE = 4000
"""Characters of a document that are looked at for its line."""


def displayable(text: str) -> str:
    """Return a text that can be written anywhere: no control characters, no lone surrogates, nothing that turns direction."""
    return "".join(_shown(character) for character in text)


def met_name(match: Match, explanation: Explanation, name_of: Callable[[Token, str], str]) -> str:
    """Return what to call what a query row met: one token, or those that share a row."""
    return " + ".join(name_of(token, explanation.document) for token in explanation.met_by(match))


def one_line(text: str) -> str:
    """Return a text in one line, with single blanks."""
    return displayable(" ".join(text.split()))


def headline(document: str) -> str:
    """Return the start of a document in one line, more of it than any line shows."""
    return one_line(document.lstrip()[:MOST_OF_A_LINE]) or "(blank)"


def label(token: Token, text: str) -> tuple[str, str | None]:
    """Return what to call a token, and the name of its role where it is none of the caller's words.

    A part of a word has a hyphen where the word goes on.
    """
    characters = one_line(token.of(text))
    if characters and token.start is not None and token.end is not None:
        before = "-" if _goes_on(text, token.start) else ""
        after = "-" if _goes_on(text, token.end) else ""
        return f"{before}{shortened(characters, LONGEST_LABEL)}{after}", None
    return shortened(one_line(token.text), LONGEST_LABEL) or "(blank)", ROLE_NAMES[token.role]


def direction(text: str) -> str:
    """Return ``rtl`` for a text whose first letter is of a script that runs from right to left, else ``ltr``."""
    strong = (kind for kind in map(bidirectional, text) if kind in ("L", "R", "AL"))
    return "rtl" if next(strong, "L") != "L" else "ltr"


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{share:.1%}"


def score_note(explanation: Explanation) -> str:
    """Say what kind of number the score is."""
    rows = len(explanation.query_reading.tokens)
    if explanation.maxsim is None:
        return "nothing to score, so the lowest score there is"
    raw = f"raw MaxSim {explanation.maxsim:.2f} over {rows} query {'row' if rows == 1 else 'rows'}"
    return {"mean": f"mean similarity; {raw}", "sum": raw, "probability": f"probability of relevance; {raw}"}[
        explanation.scale
    ]


def reading_note(reading: Reading, what: str) -> str:
    """Say how much of a long text was read here; empty for one that was read to its end."""
    if window := reading.window:
        return (
            f"This is the best of the {what}'s {window.count:,} windows, number {window.number:,}: characters "
            f"{window.start + 1:,} to {window.end:,} of {reading.characters:,}."
        )
    if not reading.truncated:
        return ""
    return (
        f"Only the first {reading.characters_read:,} of the {what}'s {reading.characters:,} characters "
        f"({reading.tokens_read:,} tokens) were read."
    )


def _goes_on(text: str, place: int) -> bool:
    """Tell whether a word has letters on both sides; scripts without blanks between words have no such words."""
    around = text[place - 1 : place + 1] if place else ""
    return len(around) == 2 and around.isalpha() and not any(east_asian_width(one) in "WF" for one in around)


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20 and character not in "\n\t":
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in DIRECTION_MARKS:
        return ""
    return "\ufffd" if category(character) in ("Cc", "Cs") and character not in "\n\t" else character
