"""Which models are on this machine already: the bundled one, and those in the hub's cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from laterank.checks import expanded
from laterank.errors import LaterankError
from laterank.model import hub
from laterank.model.files import BUNDLED, BUNDLED_FOLDER
from laterank.model.layout import choose_onnx, needed_files
from laterank.model.registry import KnownModel, known_model, known_models
from laterank.model.settings import read_config

__all__ = ["ModelOnDisk", "models_on_disk"]


@dataclass(frozen=True, slots=True)
class ModelOnDisk:
    """A model that is known, on this machine, or both.

    Attributes:
        name: The hub's id, or ``bundled``.
        known: What the registry says of it; None for one that it does not know.
        folder: Where its files lie; None where it is not here, or not all of it.
        size_bytes: Bytes of the files that are here; None where none is.
        revision: The commit that is here.
        document_length: The most tokens of a document; None where nothing says without the files.
        problem: Why it cannot be loaded without a network although some of it is here.
    """

    name: str
    known: KnownModel | None
    folder: Path | None = None
    size_bytes: int | None = None
    revision: str | None = None
    document_length: int | None = None
    problem: str | None = None


def models_on_disk(cache_dir: str | PathLike[str] | None = None) -> list[ModelOnDisk]:
    """Return every known model, and every ColBERT model with a graph in the hub's cache; no request is made.

    Args:
        cache_dir: The hub's cache; None for the one that ``HF_HUB_CACHE`` and ``HF_HOME`` name.
    """
    cache = _cache_folder(cache_dir)
    stored = {folder.name.removeprefix("models--").replace("--", "/") for folder in _repositories(cache)}
    known = [known.name for known in known_models()]
    found = [_described(name, cache, is_stored=name in stored) for name in known]
    others = (_described(name, cache, is_stored=True) for name in sorted(stored - set(known)))
    return found + [
        other for other in others if other.folder is not None
    ]  # a cache holds much that is no ColBERT


def _cache_folder(cache_dir: str | PathLike[str] | None) -> Path:
    if cache_dir is not None:
        return expanded(cache_dir).absolute()
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _repositories(cache: Path) -> list[Path]:
    try:
        return [folder for folder in sorted(cache.glob("models--*")) if (folder / "snapshots").is_dir()]
    except OSError:
        return []


def _described(name: str, cache: Path, *, is_stored: bool) -> ModelOnDisk:
    known = known_model(name)
    length = known.settings.get("document_length") if known else None
    if name != BUNDLED and not is_stored and not Path(name).is_dir():
        return ModelOnDisk(name, known, document_length=length)

    def choose(names: Sequence[str]) -> list[str]:
        graph = choose_onnx(names, name=name, known=known, onnx_file=None, quantized=None)
        return needed_files(names, graph, known=known)

    try:
        place = BUNDLED_FOLDER if name == BUNDLED else name
        resolved = hub.resolve(place, choose, cache_dir=cache, local_files_only=True)
        config = read_config(resolved.folder, registered=known.all_settings() if known else None)
    except LaterankError as error:
        size = _bytes_below(hub.repository_folder(name, cache) / "snapshots")
        return ModelOnDisk(name, known, size_bytes=size, document_length=length, problem=str(error))
    size = sum((resolved.folder / file).stat().st_size for file in resolved.files)
    return ModelOnDisk(name, known, resolved.folder, size, resolved.revision, config.document_length)


def _bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder, following the links of the hub's cache to files."""
    files = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return sum(file.stat().st_size for file in files if file.is_file())
