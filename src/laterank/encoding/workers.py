"""Threads that share one session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from laterank.forking import renew_after_fork

__all__ = ["Workers"]

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Threads that start at the first need, and start anew in a forked process."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Start without threads."""
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterable[R]:
        """Apply a function to each item, in order; for one item or one thread, right here."""
        if len(items) < 2 or self._threads < 2:
            return map(function, items)
        try:
            return self._ready().map(function, items)
        except RuntimeError:  # the interpreter is shutting down and starts no more threads
            return map(function, items)

    def _ready(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="laterank")
            return self._executor
