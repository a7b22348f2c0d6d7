"""Every command of a console block in README and docs runs, and prints what the page says."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from console import PAGES, ROOT, Shell, matches, steps

BLOCK = re.compile(r"^```console\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


def sessions(page: Path) -> list[str]:
    """Return the bodies of a page's console blocks that have commands."""
    return [m["body"] for m in BLOCK.finditer(page.read_text(encoding="utf-8")) if steps(m["body"])]


def test_there_are_sessions() -> None:
    """The command line's page has some, so the test below has something to run."""
    assert sessions(ROOT / "docs" / "cli.md")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if sessions(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_command_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Commands of a page share a folder, as a reader's do."""
    shell = Shell(tmp_path)
    for body in sessions(page):
        for step in steps(body):
            printed = shell.run(step.command)
            assert matches(printed, step.shown), (
                f"$ {step.command}\n{printed}\n--- the page says\n{step.shown}"
            )


def test_a_session_is_read_command_by_command() -> None:
    """Continued lines belong to their command, the rest to what it prints."""
    first, second = steps("$ cat <<'END'\n> a\n> END\na\n$ true\n")
    assert (first.command, first.shown) == ("cat <<'END'\na\nEND\n", "a\n")
    assert (second.command, second.shown) == ("true\n", "")


def test_wrong_words_and_far_numbers_do_not_match() -> None:
    """Near numbers do, and dots stand for anything."""
    assert matches("score 0.951\n", "score 0.950\n")
    assert not matches("score 0.951\n", "score 0.850\n")
    assert not matches("scores 0.951\n", "score 0.951\n")
    assert matches("9 files in /a/b\nwell\n", "9 files in ...\nwell\n")
    assert not matches("9 files in /a/b\nill\n", "9 files in ...\nwell\n")
