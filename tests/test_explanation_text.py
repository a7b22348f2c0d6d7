"""The face for a terminal: aligned columns, whatever the script, and colours only where they can be seen."""

import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laterank import Reranker
from laterank.explanation.terminal import columns_of, fitted, padded, shortened, wrapped
from laterank.explanation.wording import displayable, one_line

ESCAPE = re.compile(r"\x1b\[\d+m")
QUERY = "How do I get my 返金 money back?"
DOCUMENT = "You can return 返金 any item 👩🏽‍🚀 within 30 days for a full refund. e\u0301te\u0301 ok"


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    """Return the model that is in the package."""
    return Reranker.from_pretrained(threads=1)


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("planet", 6),
        ("返金", 4),
        ("e\u0301te\u0301", 3),
        ("👩🏽‍🚀", 2),
        ("🇫🇷🇩🇪", 4),
        ("❤\ufe0f", 2),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),
        ("a\u200bb", 2),
        ("👩\u200d", 2),
        ("👩\u200d ", 3),
        ("\u200d ", 1),
        ("👩\u200d⚕\ufe0f", 2),
        ("שלום", 4),
        ("", 0),
    ],
)
def test_a_text_is_as_wide_as_a_terminal_draws_it(text: str, columns: int) -> None:
    """Wide characters take two columns, marks none."""
    assert columns_of(text) == columns


@given(text=st.text(st.characters(exclude_characters="…"), max_size=30), columns=st.integers(1, 20))
def test_a_shortened_text_keeps_both_ends(text: str, columns: int) -> None:
    """As much of each as half the columns hold beside the ellipsis, less one where a wide character would not fit."""
    short = shortened(text, columns)
    if columns_of(text) <= columns:
        assert short == text
        return
    start, end = short.split("…")
    assert text.startswith(start)
    assert text.endswith(end)
    half = (columns - 1) // 2
    assert {columns_of(start), columns_of(end)} <= {half, half - 1}


@given(text=st.text(max_size=30), columns=st.integers(1, 20))
def test_padding_gives_exactly_the_columns(text: str, columns: int) -> None:
    """Cut or filled, a cell is as wide as its column."""
    assert columns_of(padded(text, columns)) == columns
    assert columns_of(padded(text, columns, right=True)) == columns
    assert columns_of(fitted(text, columns)) <= columns


@given(text=st.text(max_size=60), columns=st.integers(2, 20))
def test_wrapping_loses_nothing(text: str, columns: int) -> None:
    """Lines fit, and hold every character but blanks."""
    lines = list(wrapped(text, columns))
    assert all(columns_of(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(reranker: Reranker, width: int) -> None:
    """Long documents and wide characters included."""
    for found in (
        reranker.explain(QUERY, DOCUMENT),
        reranker.explain(QUERY, "unbreakable" * 50),
        reranker.explain_ranking(QUERY, [DOCUMENT, "返" * 90, "money " * 90, ""]),
    ):
        for line in found.to_text(width=width, color=False).splitlines():
            assert columns_of(line) <= width, line


def test_columns_are_aligned(reranker: Reranker) -> None:
    """Each similarity ends where the head's word ends."""
    lines = reranker.explain(QUERY, DOCUMENT).to_text(width=100, color=False).splitlines()
    head = next(line for line in lines if line.startswith("query token"))
    end = head.index("similarity") + len("similarity")
    rows = lines[lines.index(head) + 1 :]
    assert len(rows) == len(reranker.explain(QUERY, DOCUMENT).matches)
    for row in rows:
        before = next(part for place, part in prefixes(row) if place == end)
        assert re.search(r" -?\d\.\d\d$", before), row


def prefixes(line: str) -> list[tuple[int, str]]:
    return [(columns_of(line[:place]), line[:place]) for place in range(len(line) + 1)]


def test_the_words_around_a_match_are_shown(reranker: Reranker) -> None:
    """The match in brackets, where there is room."""
    text = reranker.explain("full refund", "We give a full refund.").to_text(width=100, color=False)
    assert "We give a [full] refund." in text
    assert "[full]" not in reranker.explain("full refund", "We give a full refund.").to_text(
        width=60, color=False
    )


def test_expansion_is_one_line(tiny_reranker: Reranker) -> None:
    """Twenty rows of [MASK] would hide the words."""
    text = str(tiny_reranker.explain("red planet", "the red planet"))
    assert text.count("[MASK]") == 1
    assert re.search(r"\d+ × \[MASK\] \(expansion\): similarity -?\d\.\d\d on average", text)


def test_parts_of_words_have_hyphens(reranker: Reranker) -> None:
    """``ref-`` and ``-und`` are no words of the caller's."""
    text = str(reranker.explain("refund", "refund"))
    assert re.search(r"^ref- +ref-", text, re.MULTILINE)
    assert re.search(r"^-und +-und", text, re.MULTILINE)


def test_a_truncated_document_says_so(tiny_reranker: Reranker) -> None:
    """Characters and tokens."""
    text = tiny_reranker.explain("planet", "planet " * 400).to_text(width=160, color=False)
    text = " ".join(text.split())
    assert "Only the first 314 of the document's 2,800 characters (48 tokens) were read." in text


def test_colours_are_for_terminals(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    """None in a pipe, none with NO_COLOR, none in str(); forced either way by ``color``."""
    found = reranker.explain(QUERY, DOCUMENT)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not ESCAPE.search(found.to_text())
    assert ESCAPE.search(found.to_text(color=True))
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert ESCAPE.search(found.to_text())
    assert not ESCAPE.search(str(found))
    assert not ESCAPE.search(found.to_text(color=False))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not ESCAPE.search(found.to_text())
    monkeypatch.setenv("NO_COLOR", "")
    assert ESCAPE.search(found.to_text())
    monkeypatch.setenv("TERM", "dumb")
    assert not ESCAPE.search(found.to_text())
    monkeypatch.setattr(sys, "stdout", None)  # pythonw
    assert not ESCAPE.search(found.to_text())


def test_colours_change_no_character(reranker: Reranker) -> None:
    """Without the escapes it is the same text."""
    for found in (reranker.explain(QUERY, DOCUMENT), reranker.explain_ranking(QUERY, [DOCUMENT, "money"])):
        coloured = ESCAPE.sub("", found.to_text(color=True, width=90)).splitlines()
        assert [line.rstrip() for line in coloured] == found.to_text(color=False, width=90).splitlines()


@given(st.text(st.one_of(st.characters(), st.sampled_from("\x1b\0\x07\x9b\u202e\u2066\ud83d\n\r"))))
def test_documents_cannot_drive_the_terminal(text: str) -> None:
    """No escape sequences, no other control characters, nothing that turns the direction of what follows."""
    shown = one_line(text)
    assert not set(shown) & set("\x1b\x07\0\x9b\n\r\u202e\u2066")
    shown.encode()
    assert len(displayable("a\tb\n")) == 4


def test_escape_sequences_in_a_document_are_shown(reranker: Reranker) -> None:
    """As the picture of the character."""
    text = reranker.explain("red", "\x1b[31mred\x1b[0m").to_text(color=False)
    assert "\x1b" not in text
    assert "␛[31mred" in text


def test_a_ranking_shows_places_and_movement(reranker: Reranker) -> None:
    """After, before, arrow, score, document; under it the reasons."""
    lines = str(
        reranker.explain_ranking("red planet", ["Venus is hot.", "Mars is the red planet."])
    ).splitlines()
    assert re.search(r"^ +1 +2 +▲1 +0\.\d\d  Mars is the red planet\.$", "\n".join(lines), re.MULTILINE)
    assert re.search(r"^ +2 +1 +▼1 +-?0\.\d\d  Venus is hot\.$", "\n".join(lines), re.MULTILINE)
    assert any(re.search(r"red → red \d\.\d\d \(\+\d\.\d\d\)", line) for line in lines)


def test_narrow_terminals_lose_no_names(reranker: Reranker) -> None:
    """Documents stand below their ranks, and names of tokens go over several lines, rather than being cut."""
    document = "Mars is the red planet."
    ranking = reranker.explain_ranking("red planet", ["Venus is hot.", document])
    assert f"\n    {document}\n" in ranking.to_text(width=40, color=False)
    wide, narrow = (
        reranker.explain("red planet", document).to_text(width=width, color=False) for width in (200, 40)
    )
    names = {word for line in wide.splitlines()[4:] for word in line[:36].split() if not line.startswith(" ")}
    assert "(marker)" in names
    assert {name for name in names if name not in narrow} == set()
    assert "…" not in narrow
