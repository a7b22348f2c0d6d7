"""What the library says, in the words of the command line: ``--long-documents windows`` for ``long_documents='windows'``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["OPTIONS", "in_shell_words", "say", "spoken_log"]

OPTIONS = {
    "budget": "--budget",
    "first_stage_scores": "--score-field",
    "fusion": "--fusion",
    "fusion_weight": "--fusion-weight",
    "local_files_only": "--offline",
    "long_documents": "--long-documents",
    "least_cosine": "--least-cosine",
    "onnx_file": "--onnx-file",
    "overwrite": "--overwrite",
    "patience": "--patience",
    "score": "--score",
    "score_threshold": "--threshold",
    "top_k": "--top-k",
    "top_n": "--top-n",
    "window_overlap": "--window-overlap",
}
"""Python's options that commands have, and what they are called there."""

_NAMES = "|".join(sorted(OPTIONS, key=len, reverse=True))
_QUOTED_VALUE = re.compile(rf"(?<![\w,./'\"-])(?P<name>{_NAMES})=(?P<quote>['\"])(?P<value>\w+)(?P=quote)")
_NAME = re.compile(rf"(?<![\w,./'\"-])(?P<name>{_NAMES})(?P<true>=True)?(?![\w=/\[-])")


def in_shell_words(message: str) -> str:
    """Return a message with Python's options as a shell has them; a word such as ``score`` alone is no option."""
    message = _QUOTED_VALUE.sub(lambda found: f"{OPTIONS[found['name']]} {found['value']}", message)
    return _NAME.sub(
        lambda found: OPTIONS[found["name"]] if "_" in found["name"] or found["true"] else found[0],
        message,
    )


def say(message: object) -> None:
    """Write what went wrong, or is worth knowing, to standard error."""
    typer.echo(f"laterank: {in_shell_words(str(message))}", err=True)


@contextmanager
def spoken_log() -> Iterator[None]:
    """Say what the library logs as warnings."""
    logger, handler = logging.getLogger("laterank"), _Spoken(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Spoken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())
