"""Results that took long, kept under a digest of what they were made from: never shown for anything else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

Measured = dict[str, float]


def digest(*parts: object) -> str:
    """Return a short digest of plain values, and of the bytes of files where a part is a path."""
    found = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else json.dumps(part).encode()
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


def once(cache: Path, key: str, measure: Callable[[], Measured]) -> Measured:
    """Return what the cache has under this key, or measure it and put it there."""
    table: dict[str, Measured] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    if key not in table:
        table[key] = measure()
        partial = cache.with_suffix(".part")
        partial.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        partial.replace(cache)
        print(f"{key}: {', '.join(f'{name} {value:.1f}' for name, value in table[key].items())}", flush=True)
    return table[key]
