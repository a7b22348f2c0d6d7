"""Lines of files, compressed or not, and errors that name the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from laterank.errors import CollectionError

__all__ = ["found_file", "json_lines", "numbered_lines", "refused"]

GZIP = b"\x1f\x8b"
SHOWN = 80


def found_file(folder: Path, *names: str) -> Path | None:
    """Return the first of the names that lies in a folder, compressed or not."""
    paths = (folder / f"{name}{ending}" for name in names for ending in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank with its number, from 1; what tells gzip is the content, not the name.

    Raises:
        CollectionError: If the file is missing, is no text in UTF-8, or its compression is broken.
    """
    try:
        with path.open("rb") as start:
            compressed = start.read(2) == GZIP
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if compressed
            else path.open(encoding="utf-8-sig") as lines
        ):
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CollectionError(f"{path} is no text in UTF-8 ({error.reason}); convert it first") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CollectionError(f"{path} is damaged: {error}; get the file again") from error
    except OSError as error:
        raise CollectionError(f"{path} cannot be read: {error.strerror or error}") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line's JSON object with its number.

    Raises:
        CollectionError: If a line is none.
    """
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (
            ValueError,
            RecursionError,
        ) as error:  # also numbers of thousands of digits, and nesting as deep
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise refused(path, number, line, f"a JSON object ({reason})") from error
        if not isinstance(record, dict):
            raise refused(path, number, line, "a JSON object")
        yield number, record


def refused(path: Path, number: int, line: str, expected: str) -> CollectionError:
    """Return the error of one line."""
    shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
    return CollectionError(f"{path}:{number}: {shown!r}; expected {expected}")
