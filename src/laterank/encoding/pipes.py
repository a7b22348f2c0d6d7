"""Messages over a pair of pipes: a length, then a pickle; before the first one, a mark that it begins there."""

from __future__ import annotations

import pickle
import struct
from io import FileIO
from typing import Any

__all__ = ["begin", "receive", "send", "skip_to_beginning"]

LENGTH = struct.Struct("!Q")
BEGINNING = b"\x00laterank\x00"
"""Not what a ``sitecustomize`` or a module prints while it is imported."""


def begin(pipe: FileIO) -> None:
    """Write the mark."""
    pipe.write(BEGINNING)


def skip_to_beginning(pipe: FileIO) -> None:
    """Read until the mark, and forget what came before.

    Raises:
        EOFError: If the writer is gone.
    """
    seen = b""
    while seen != BEGINNING:
        seen = (seen + _read(pipe, 1))[-len(BEGINNING) :]


def send(pipe: FileIO, message: object) -> None:
    """Write one message.

    Raises:
        OSError: If nobody reads any more.
    """
    content = pickle.dumps(message, protocol=5)
    for part in (LENGTH.pack(len(content)), content):
        rest = memoryview(part)
        while rest:
            rest = rest[pipe.write(rest) :]


def receive(pipe: FileIO) -> Any:
    """Read one message.

    Raises:
        EOFError: If the writer is gone, also in the middle of a message.
    """
    (length,) = LENGTH.unpack(_read(pipe, LENGTH.size))
    return pickle.loads(_read(pipe, length))


def _read(pipe: FileIO, length: int) -> bytearray:
    content = bytearray(length)
    rest = memoryview(content)
    while rest:
        if not (count := pipe.readinto(rest)):
            raise EOFError("the other process closed the pipe")
        rest = rest[count:]
    return content
