"""A file in parts that are small enough to be carried, and the file again, checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

PART_BYTES = 15 << 20


def split(file: Path, folder: Path, size: int = PART_BYTES) -> list[Path]:
    """Write a file as ``NAME.000``, ``NAME.001``, ... of at most ``size`` bytes, and ``NAME.sha256``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{file.name}.*"):
        old.unlink()
    written, digest = [], hashlib.sha256()
    with file.open("rb") as content:
        while piece := content.read(size):
            digest.update(piece)
            written.append(folder / f"{file.name}.{len(written):03}")
            written[-1].write_bytes(piece)
    check = folder / f"{file.name}.sha256"
    check.write_text(digest.hexdigest() + "\n", encoding="utf-8")
    return [*written, check]


def joined(folder: Path, name: str) -> bytes:
    """Return the content of a file that lies in ``folder`` in parts.

    Raises:
        ValueError: If a part is missing or damaged.
    """
    check = folder / f"{name}.sha256"
    if not check.is_file():
        raise ValueError(f"{folder} has no {check.name}: it holds no parts of {name}, or not all")
    parts = sorted(folder.glob(f"{name}.[0-9][0-9][0-9]"))
    content = b"".join(path.read_bytes() for path in parts)
    if hashlib.sha256(content).hexdigest() != check.read_text(encoding="utf-8").strip():
        raise ValueError(
            f"the {len(parts)} parts of {name} in {folder} are not what {check.name} was made of: fetch them again"
        )
    return content
