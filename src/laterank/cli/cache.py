"""``laterank cache``: what a cache file holds, whether it is whole, smaller, elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from laterank.cli.options import Json
from laterank.cli.output import byte_size, print_json, progress, write
from laterank.cli.tables import print_rows
from laterank.errors import InputError

if TYPE_CHECKING:
    from laterank.cache.sqlite import SqliteCache

__all__ = ["cache"]

MOST_DAYS = 36_500

cache = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Look after a cache file: count, verify, prune, export.",
)

CachePath: TypeAlias = Annotated[Path, typer.Argument(metavar="PATH", help="The cache's file.")]


@cache.command()
def stats(path: CachePath, json: Json = False) -> None:
    """Say what a cache holds."""
    from laterank.cache.maintenance import contents

    with _existing(path) as opened:
        held = contents(opened)
    if json:
        print_json({"path": str(opened.path), **asdict(held)})
        return
    rows = [
        ("documents", f"{held.documents:,}"),
        ("their rows", byte_size(held.size_bytes)),
        ("on disk", byte_size(held.file_bytes)),
        *((f"kept as {kind}", f"{count:,}") for kind, count in sorted(held.kinds.items())),
        ("least recently used", _day(held.oldest_use)),
        ("most recently used", _day(held.latest_use)),
    ]
    print_rows(("", ""), rows)


@cache.command()
def verify(
    path: CachePath,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Delete damaged documents; they are encoded again when they are needed."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Compare every document with its checksum; exit code 1 where one is damaged."""
    from laterank.cache.maintenance import verify as verify_cache

    with _existing(path) as opened, progress("verifying", len(opened)) as tell:
        found = verify_cache(opened, remove=repair, tell=tell)
    if json:
        print_json({"path": str(opened.path), "whole": found.whole, **asdict(found)})
    else:
        write(
            f"{found.documents:,} documents read, {len(found.damaged):,} damaged, {found.removed:,} deleted"
        )
        for line in found.structure:
            write(f"the file's structure: {line}")
        if found.structure:
            write(f"delete {opened.path} with its -wal and -shm: it only holds what can be encoded again")
        elif not found.whole:
            write(f"`laterank cache verify {path} --repair` deletes them; they are encoded again when needed")
    if not found.whole:
        raise typer.Exit(1)


@cache.command()
def prune(
    path: CachePath,
    max_bytes: Annotated[
        str | None,
        typer.Option("--max-bytes", metavar="SIZE", help="The most to leave, such as `500MB` or `2GiB`."),
    ] = None,
    unused_days: Annotated[
        float | None,
        typer.Option(
            "--unused-days",
            metavar="DAYS",
            help="Forget what was not used for so long, such as another model's rows.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Forget documents, the least recently used first, and make the file smaller."""
    from laterank.cache.maintenance import forget_unused

    if max_bytes is None and unused_days is None:
        raise InputError("nothing to prune by; pass --max-bytes, such as 500MB, or --unused-days")
    most = None if max_bytes is None else parsed_bytes(max_bytes)
    if unused_days is not None and not 0 <= unused_days <= MOST_DAYS:
        raise InputError(f"--unused-days is {unused_days:g}, expected a number from 0 to {MOST_DAYS}")
    with _existing(path) as opened:
        gone = 0 if unused_days is None else forget_unused(opened, unused_days)
        gone += 0 if most is None else opened.prune(most)
        left = opened.stats()
    if json:
        print_json(
            {
                "path": str(opened.path),
                "forgotten": gone,
                "documents": left.documents,
                "size_bytes": left.size_bytes,
            }
        )
    else:
        write(f"{gone:,} documents forgotten, {left.documents:,} left ({byte_size(left.size_bytes)})")


@cache.command()
def export(
    path: CachePath,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The copy, which does not exist yet.")],
    json: Json = False,
) -> None:
    """Write a compact copy that is a cache itself: one file, to put into an image or onto another machine."""
    from laterank.cache.maintenance import copy_cache

    with _existing(path) as opened:
        size, documents = copy_cache(opened, target), len(opened)
    if json:
        print_json({"path": str(target), "documents": documents, "file_bytes": size})
    else:
        write(f"{documents:,} documents in {target} ({byte_size(size)})")


BYTE_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
BYTE_UNITS |= {"kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}


def parsed_bytes(size: str) -> int:
    """Read a number of bytes: ``500MB``, ``2GiB``, ``1000``.

    Raises:
        InputError: If it is none.
    """
    text = size.strip().lower().replace(",", "").replace("_", "")
    number = text.rstrip("bkmgti ")
    unit = text[len(number) :].strip()
    if unit not in BYTE_UNITS or not number.replace(".", "", 1).isdecimal():
        raise InputError(f"--max-bytes is {size!r}, expected a size such as 500MB or 2GiB")
    found = float(number) * BYTE_UNITS[unit]
    if not isfinite(found):
        raise InputError(f"--max-bytes has {len(number)} digits, expected a size such as 500MB or 2GiB")
    return int(found)


@contextmanager
def _existing(path: Path) -> Iterator[SqliteCache]:
    from laterank.cache.maintenance import open_existing

    with open_existing(path) as opened:
        yield opened


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
