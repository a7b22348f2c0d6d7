"""Commands that the running text of README and docs names are there, with their options; blocks run in other tests."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

typer = pytest.importorskip("typer", reason="the command line needs the extra laterank[cli]")

from laterank.cli.app import app

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from console import PAGES, ROOT


def running_text(page: Path) -> str:
    """Return a page without its blocks."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def named(program: str) -> list[str]:
    """Return the commands of a program that stand in backticks."""
    text = "\n".join(map(running_text, PAGES))
    return sorted(set(re.findall(rf"`{program} ([a-z][^`]*)`", text)))


def test_every_target_that_is_named_is_one() -> None:
    """Of ``make``."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {command.split()[0] for command in named("make")} <= set(targets)
    assert len(named("make")) > 5


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command of ``laterank`` that the words begin with, and the words that are left."""
    found, left = typer.main.get_command(app), list(words)
    while isinstance(found, typer.core.TyperGroup) and left:
        found = found.get_command(typer.Context(found), left.pop(0))
    return found, left


def options_of(command: Any) -> set[str]:
    """Return the options of a command."""
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return names | {"--help"}


@pytest.mark.parametrize("words", named("laterank"))
def test_every_command_that_is_named_is_known_with_its_options(words: str) -> None:
    """Of ``laterank``."""
    command, left = command_of(words.split())
    assert {word for word in left if word.startswith("-")} <= options_of(command)


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("cli.md", ["rerank", "explain", "warm", "cache verify", "cache prune", "models", "doctor"]),
        ("evaluate.md", ["evaluate", "compare"]),
    ],
)
def test_every_option_that_is_named_is_one(page: str, commands: list[str]) -> None:
    """Of the commands that a page is about."""
    known = set().union(*(options_of(command_of(command.split())[0]) for command in commands))
    text = running_text(ROOT / "docs" / page)
    named_options = {
        option
        for code in re.findall(r"`(-[^`]+)`", text)
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", code)
    }
    assert len(named_options) > 15
    assert named_options <= known
