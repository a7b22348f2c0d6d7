"""Texts from files and standard input: one a line, or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from laterank.checks import expanded
from laterank.errors import InputError

__all__ = ["STANDARD_INPUT", "Record", "begun", "count_lines", "read_records", "read_text"]

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Record:
    """One text, with the other fields of its JSON line.

    Attributes:
        text: What is read.
        fields: The whole JSON object; ``{"text": ...}`` for a plain line.
    """

    text: str
    fields: dict[str, Any] = field(default_factory=dict)


def read_records(files: Sequence[str], *, names: Sequence[str] | None = None) -> Iterator[Record]:
    """Yield the texts of files, one after the other.

    A file whose first line is a JSON object has one on every line; any other has a text on every line. Blank lines are
    skipped.

    Args:
        files: Paths; ``-`` is standard input.
        names: The fields that hold the text, joined by a space; None for ``text``.

    Raises:
        InputError: If a file cannot be read, a line is no UTF-8 or no JSON object, or lacks the field, naming file and line. A
            file that is not there is found before the first line is read.
    """
    for file in files:
        if file != STANDARD_INPUT:
            _check_there(file)
    for file in files:
        with _opened(file) as lines:
            yield from _records(lines, file, tuple(names or ("text",)))


def begun(records: Iterator[Record]) -> Iterator[Record]:
    """Read the first record now, so that what is wrong with it is found before anything is made for it."""
    return chain(list(islice(records, 1)), records)


def read_text(file: str) -> str:
    """Return the whole text of a file.

    Raises:
        InputError: If it cannot be read.
    """
    with _opened(file) as lines:
        return "".join(_decoded(line, file, number) for number, line in enumerate(lines, start=1))


def count_lines(files: Sequence[str]) -> int | None:
    """Return how many lines the files have, for a progress bar; None where standard input is among them."""
    if STANDARD_INPUT in files or not all(Path(file).is_file() for file in files):
        return None
    total = 0
    for file in files:
        with _opened(file) as lines:
            total += sum(1 for line in lines if line.strip())
    return total


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(
                "no file was given and nothing is piped in; name a file, or pipe texts into the command"
            )
        yield sys.stdin.buffer
        return
    try:
        lines = expanded(file).open("rb")
    except OSError as error:
        raise _unreadable(file, error.strerror) from error
    with lines:
        yield lines


def _check_there(file: str) -> None:
    try:
        expanded(file).stat()
    except OSError as error:
        raise _unreadable(file, error.strerror) from error


def _unreadable(file: str, reason: str | None) -> InputError:
    return InputError(
        f"{file or 'a file without a name'} cannot be read: {reason}; name a file of texts or JSON lines"
    )


def _decoded(line: bytes, file: str, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_place(file, number)} is no UTF-8 ({error.reason} at byte {error.start}); convert the file, for instance "
            "with iconv -f latin1 -t utf-8"
        ) from error


def _records(lines: Iterable[bytes], file: str, names: tuple[str, ...]) -> Iterator[Record]:
    is_json: bool | None = None
    for number, raw in enumerate(lines, start=1):
        line = _decoded(raw, file, number).strip("\r\n")
        if not line.strip():
            continue
        if is_json is None:
            is_json = _is_object(line)
        yield _record(line, _place(file, number), names) if is_json else Record(line, {"text": line})


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _record(line: str, place: str, names: tuple[str, ...]) -> Record:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is no JSON ({error}), but the first line is; correct it") from error
    if not isinstance(fields, dict):
        raise InputError(f"{place} is a JSON {type(fields).__name__}, expected an object with the text")
    missing = [name for name in names if not isinstance(fields.get(name), str)]
    if missing:
        there = ", ".join(name for name, value in fields.items() if isinstance(value, str)) or "none"
        raise InputError(
            f'{place} has no text under "{missing[0]}"; its texts: {there}; pass --field with one of them'
        )
    return Record(" ".join(fields[name] for name in names), fields)


def _place(file: str, number: int) -> str:
    return f"{'standard input' if file == STANDARD_INPUT else file}, line {number},"
