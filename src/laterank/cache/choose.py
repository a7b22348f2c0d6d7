"""What callers say about a cache: yes, no, a path, or one of their own."""

from __future__ import annotations

import os
from os import PathLike
from typing import TypeAlias

from laterank.cache.memory import MemoryCache
from laterank.cache.protocol import DocumentCache
from laterank.cache.sqlite import SqliteCache
from laterank.errors import InputTypeError

__all__ = ["CacheChoice", "choose_cache"]

CacheChoice: TypeAlias = DocumentCache | str | PathLike[str] | bool | None


def choose_cache(cache: CacheChoice) -> DocumentCache | None:
    """Return the cache: 256 MiB of memory for True, none for False and None, a file for a path.

    Raises:
        InputTypeError: If it is none of these, or no cache.
        CacheError: If there is no cache at the path, and none can be made there.
    """
    if cache is True:
        return MemoryCache()
    if cache is False or cache is None:
        return None
    if isinstance(cache, str) or (isinstance(cache, os.PathLike) and not isinstance(cache, DocumentCache)):
        return SqliteCache(cache)
    if isinstance(cache, type) or not isinstance(cache, DocumentCache):
        raise InputTypeError(
            f"cache is {type(cache).__name__}, expected True, False, a path, "
            "or a cache with get_many, put_many, stats and clear"
        )
    return cache
