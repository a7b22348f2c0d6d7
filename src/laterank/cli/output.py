"""What commands write: lines, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import isfinite
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from laterank.explanation.terminal import asked_for_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

__all__ = ["boxes_fit", "byte_size", "one_line", "print_json", "progress", "rich_console", "working", "write"]

BOXES = 80
"""Columns below which the boxes of the help would cut options and words."""
BETWEEN_WORDS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""Blanks, and what Unicode calls control characters."""
UNITS = ("B", "KB", "MB", "GB", "TB")


def boxes_fit() -> bool:
    """Tell whether help and errors of use may be drawn in boxes, with escapes; plain lines suit what is narrow or plain."""
    return get_terminal_size().columns >= BOXES and not asked_for_plain()


def rich_console(*, stderr: bool = False) -> Console:
    """Return a console of rich, without any escapes where ``NO_COLOR`` or a dumb terminal asks for none."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, color_system=None if asked_for_plain() else "auto")


def write(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(f"{text}\n")


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Write a value as JSON, in ASCII where standard output is not UTF-8; null for what is no number, which JSON does not have."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    dumps = partial(json.dumps, ensure_ascii=encoding != "utf8", indent=indent, allow_nan=False)
    try:
        write(dumps(value))
    except ValueError:
        write(dumps(_finite(value)))


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal, and give a function that is told how much is done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=rich_console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show on standard error, if that is a terminal for more than plain lines, what takes its time, and for how long."""
    if not sys.stderr.isatty() or asked_for_plain():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=rich_console(stderr=True), transient=True) as bar:
        bar.add_task(description, total=None)
        yield


def one_line(text: str) -> str:
    """Return a text on one line, without control characters, which could command the terminal."""
    return BETWEEN_WORDS.sub(" ", text).strip(" ")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def byte_size(size: int) -> str:
    """Write a number of bytes for people: ``23.1 MB``."""
    number, unit = float(size), UNITS[0]
    for unit in UNITS:
        if number < 1000 or unit == UNITS[-1]:
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
