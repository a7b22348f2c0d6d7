"""Tables at a terminal, or lists where a table would break words; in a pipe tab-separated lines, or Markdown as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from laterank.cli.output import rich_console, write
from laterank.explanation.terminal import columns_of, padded, wrapped

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["print_rows", "write_markdown"]

NARROW = 110
"""Columns of a terminal below which a model's name does not fit beside what is said of it."""
LONG_WORD = 24
"""Columns of a word that may be broken: an address, or a text without blanks."""

MOST_IN_A_CELL = 4000
"""Characters of a text that a table at a terminal shows."""

Row = Sequence[str]


def print_rows(
    header: Row, rows: Iterable[Row], *, numbers: Sequence[int] = (), names: Sequence[int] = ()
) -> None:
    """Write rows as a table at a terminal, else as lines whose cells are separated by tabs, without a header.

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
    console, found = rich_console(), [list(map(_shortened, row)) for row in rows]
    if drawn := _drawn_whole(console, _table(console, header, found, numbers, names), [header, *found]):
        write(drawn.rstrip("\n"))
        return
    for row in found:
        write("\n".join(_listed(header, row, console.width)) + "\n")


def write_markdown(text: str) -> None:
    """Write Markdown as it is, or drawn where standard output is a terminal."""
    if not sys.stdout.isatty():
        write(text.rstrip("\n"))
        return
    from rich.markdown import Markdown

    console = rich_console()
    lines: list[str] = []
    for in_table, group in groupby(text.split("\n"), key=lambda line: line.startswith("|")):
        part = list(group)
        lines += _fitting(console, part) if in_table else part
    console.print(Markdown("\n".join(lines)))


def _shortened(cell: str) -> str:
    """Cut what would fill screens: folding a text takes time by the square of its length."""
    left_out = len(cell) - MOST_IN_A_CELL
    return cell if left_out <= 0 else f"{cell[:MOST_IN_A_CELL]}… ({left_out:,} more characters)"


def _table(
    console: Console, header: Row, rows: Sequence[Row], numbers: Sequence[int], names: Sequence[int]
) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    narrow = console.width < NARROW
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for position, name in enumerate(header):
        justify = "right" if position in numbers else "left"
        whole = position in numbers or position in names
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole)  # type: ignore[arg-type]
    for row in rows:
        cells = (
            cell.replace("/", "/\n", 1) if narrow and position in names else cell
            for position, cell in enumerate(row)
        )
        table.add_row(*(Text(cell) for cell in cells))  # Text: brackets in a document are no markup
    return table


def _drawn_whole(
    console: Console, table: RenderableType, rows: Iterable[Row], longest: int = LONG_WORD
) -> str:
    """Return a table as it is drawn; empty where that breaks or cuts a word of at most so many columns."""
    with console.capture() as capture:
        console.print(table)
    drawn = capture.get()
    words = {word for row in rows for cell in row for word in cell.replace("/", "/ ").split()}
    return drawn if all(word in drawn for word in words if columns_of(word) <= longest) else ""


def _listed(header: Row, row: Row, width: int) -> Iterator[str]:
    """Yield a row as lines, each cell after its column's name."""
    label = max(map(columns_of, header))
    for name, cell in zip(header, row, strict=True):
        for number, line in enumerate(wrapped(cell, max(1, width - label - 2))):
            yield f"{padded('' if number else name, label)}  {line}"


def _fitting(console: Console, lines: list[str]) -> list[str]:
    """Return a table of Markdown as it is; as a list for each row where drawing it would break words."""
    from rich.markdown import Markdown

    header, _, *rows = ([cell.replace("\\|", "|") for cell in line[2:-2].split(" | ")] for line in lines)
    if _drawn_whole(console, Markdown("\n".join(lines)), [header, *rows], console.width):
        return lines
    found = []
    for name, *cells in rows:
        found += [f"**{name}**", ""]
        found += [
            f"- {label}: {cell}" if label else f"- {cell}"
            for label, cell in zip(header[1:], cells, strict=True)
        ]
        found.append("")
    return found
