"""Every message that docs/troubleshooting.md quotes is one of the package's, so that the page can't rot."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"
QUOTED = re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
"""The first cell of each row; "…" stands for what an f-string fills in."""


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield every string of a file but its docstrings, with "…" for what an f-string fills in."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def messages() -> tuple[str, ...]:
    """Return every string of the package."""
    files = (ROOT / "src" / "laterank").rglob("*.py")
    return tuple(text for path in files for text in texts(ast.parse(path.read_text(encoding="utf-8"))))


def test_there_are_messages() -> None:
    """The page is read as it is written."""
    assert len(QUOTED) > 70
    assert len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_in_the_source(quoted: str) -> None:
    """Its words stand in one string of the package, in this order."""
    pattern = re.compile(".*".join(map(re.escape, quoted.split("…"))), re.DOTALL)
    assert [message for message in messages() if pattern.search(message)]
