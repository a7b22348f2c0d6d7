"""Results in files, whose names say the format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from laterank.checks import expanded
from laterank.errors import InputError

__all__ = ["check_files", "json_text", "save_files"]


def check_files(paths: Iterable[str | PathLike[str]], endings: Iterable[str]) -> list[Path]:
    """Return the paths if their names have known endings; ask before the work that is to be saved.

    Raises:
        InputError: If a name ends otherwise.
    """
    found, known = [expanded(path) for path in paths], tuple(endings)
    for path in found:
        if path.suffix.lower() not in known:
            raise InputError(f"{path} has no known ending; expected one of {', '.join(known)}")
    return found


def save_files(paths: Iterable[str | PathLike[str]], faces: Mapping[str, Callable[[], str]]) -> None:
    """Write each file in the format of its ending; folders that are missing are made.

    Raises:
        InputError: If a name has another ending, or a file cannot be written.
    """
    for path in check_files(paths, faces):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(faces[path.suffix.lower()](), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}; name another file") from error


def json_text(value: Any) -> str:
    """Return a JSON file's text."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
