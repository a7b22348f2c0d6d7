"""What commands write: JSON for programs, tables at a terminal, tab-separated lines in a pipe, progress on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["byte_size", "one_line", "print_json", "print_rows", "progress", "write"]

NARROW = 110
"""Columns of a terminal below which a model's name does not fit beside what is said of it."""
MOST_IN_A_CELL = 4000
"""Characters of a text that a table at a terminal shows."""
BETWEEN_WORDS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""Blanks, and what Unicode calls control characters."""
UNITS = ("B", "KB", "MB", "GB", "TB")


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


def print_rows(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    names: Sequence[int] = (),
) -> None:
    """Write rows as a table at a terminal, else as lines whose cells are separated by tabs, whole and without a header.

    Args:
        header: The columns' names.
        rows: Cells, without line breaks.
        numbers: Positions of the columns that are numbers, aligned to the right.
        names: Positions of the columns that are names, broken after a slash and nowhere else, on narrow terminals only.
    """
    if not sys.stdout.isatty():
        for row in rows:
            write("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    narrow = console.width < NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for position, name in enumerate(header):
        justify = "right" if position in numbers else "left"
        whole = position in numbers or position in names
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole)  # type: ignore[arg-type]
    for row in rows:
        cells = (
            cell.replace("/", "/\n", 1) if narrow and position in names else _shortened(cell)
            for position, cell in enumerate(row)
        )
        table.add_row(*(Text(cell) for cell in cells))  # Text: brackets in a document are no markup
    console.print(table)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal, and give a function that is told how much is done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


def one_line(text: str) -> str:
    """Return a text on one line, without control characters, which could command the terminal."""
    return BETWEEN_WORDS.sub(" ", text).strip(" ")


def _shortened(cell: str) -> str:
    """Cut what would fill screens: folding a text takes time by the square of its length."""
    left_out = len(cell) - MOST_IN_A_CELL
    return cell if left_out <= 0 else f"{cell[:MOST_IN_A_CELL]}… ({left_out:,} more characters)"


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
