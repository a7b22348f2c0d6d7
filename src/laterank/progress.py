"""A bar for long work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import length_hint
from typing import Any

__all__ = ["known_length", "progress_bar", "told_progress"]

logger = logging.getLogger(__name__)


def known_length(items: object) -> int | None:
    """Return how many items there are, or None where nobody can tell, or whoever should tell it fails."""
    try:
        return length_hint(items) or None
    except Exception:  # noqa: BLE001  # of the caller's own class, and it is for a bar only
        return None


def progress_bar(total: int | None, *, what: str, unit: str) -> Any:
    """Return a bar that shows itself on a terminal only, or None where tqdm is missing; huggingface_hub brings it along."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]  # ships no types
    except ImportError:
        logger.info("tqdm is not installed, so there is no bar; progress= takes a function, too")
        return None
    return tqdm(total=total, desc=what, unit=unit, disable=None)


@contextmanager
def told_progress(total: int, *, shown: bool, what: str, unit: str) -> Iterator[Callable[[int], object]]:
    """Give a function that is told how many more are done, for a bar where one is wanted."""
    bar = progress_bar(total, what=what, unit=unit) if shown else None
    if bar is None:
        yield lambda done: None
        return
    with bar:
        yield bar.update
