"""JSON files of a model, and errors that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError

__all__ = ["read_json"]


def read_json(path: Path, *, expected: type = dict) -> Any:
    """Read a JSON file whose outermost value is known, so that a broken file is named.

    Raises:
        ModelFormatError: If the file is unreadable, is not JSON or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{path} cannot be read as JSON: {error}; download or copy it again"
        ) from error
    if not isinstance(content, expected):
        raise ModelFormatError(
            f"{path} holds a JSON {type(content).__name__}, expected a {expected.__name__}"
        )
    return content
