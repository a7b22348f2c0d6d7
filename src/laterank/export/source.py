"""A model as it was trained: where its weights, settings and projection lie, in a folder or on the hub."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from laterank.encoding.projection import Layer, Projection, read_projection
from laterank.errors import ModelFormatError
from laterank.export.checkpoint import ONE_FILE, PICKLED, SHARDS, Checkpoint, open_checkpoint, read_pickled
from laterank.model import hub
from laterank.model.config import ColbertConfig
from laterank.model.json_files import read_json
from laterank.model.layout import settings_files
from laterank.model.modules import dense_folders
from laterank.model.registry import known_model
from laterank.model.settings import read_config

__all__ = ["Source", "find_source"]

PICKLED_HEAD = "colbert_linear.pt"
"""Where BGE-M3 keeps its projection, beside those of its other outputs."""
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PAPERS = re.compile(r"(LICEN[CS]E|NOTICE|README)[^/]*", re.IGNORECASE)
"""What says whose the model is: it travels with every copy."""


@dataclass(frozen=True, slots=True)
class Source:
    """A trained model.

    Attributes:
        name: What the caller asked for.
        folder: Where its files lie.
        config: Its settings.
        projection: From hidden states to token embeddings; None where the hidden states are those.
        carried: The files that an export has unchanged, relative to the folder.
        architecture: ``model_type`` of ``config.json``.
    """

    name: str
    folder: Path
    config: ColbertConfig
    projection: Projection | None
    carried: tuple[str, ...]
    architecture: str

    def copy_to(self, folder: Path) -> None:
        """Copy the files that an export has unchanged."""
        for name in self.carried:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, place)


def find_source(
    model: str | PathLike[str],
    *,
    config: Mapping[str, Any] | None = None,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Source:
    """Find a trained model in a folder or on the hub, with its weights and without any graph.

    Args:
        model: A folder, or a hub id.
        config: Single settings that correct the model's files.
        revision: A branch, tag or commit of the hub's repository.
        cache_dir: The hub's cache.
        local_files_only: Never use the network.
        token: The hub's access token.

    Raises:
        ModelNotFoundError: If there is no such model, or it is out of reach.
        ModelFormatError: If files are missing, broken or contradict each other.
    """
    found = hub.resolve(
        model,
        _needed_files,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        token=token,
    )
    known = known_model(found.name)
    settings = read_config(found.folder, registered=known.all_settings() if known else None, given=config)
    carried = tuple(name for name in found.files if not _is_weights(name))
    network = read_json(found.folder / "config.json")
    return Source(
        found.name,
        found.folder,
        settings,
        _projection(found.folder),
        carried,
        str(network.get("model_type")),
    )


def _needed_files(names: Sequence[str]) -> list[str]:
    """Return what an export reads or carries along, out of all that a model has.

    Raises:
        ModelFormatError: If the tokenizer, the network's settings or its weights are missing.
    """
    settings = settings_files(names)
    if "config.json" not in names:
        raise ModelFormatError("the model has no config.json, which says what network its weights belong to")
    weights = [name for name in names if _is_weights(name)]
    if not weights:
        raise ModelFormatError(
            f"the model has no weights to export: looked for {ONE_FILE}, {SHARDS}, {PICKLED}; a graph (.onnx) loads as "
            "it is, and laterank quantize makes its INT8 form"
        )
    if ONE_FILE in weights or SHARDS in weights:
        weights.remove(PICKLED) if PICKLED in weights else None
    return [*settings, *weights, *(name for name in names if _PAPERS.fullmatch(name))]


def _is_weights(name: str) -> bool:
    return name in (ONE_FILE, SHARDS, PICKLED, PICKLED_HEAD) or _SHARD.fullmatch(name) is not None


def _projection(folder: Path) -> Projection | None:
    """Read the Dense folders, BGE-M3's own file, or the ``linear.weight`` that a Stanford checkpoint has beside the network's."""
    if found := read_projection(dense_folders(folder), None):
        return found
    if (folder / PICKLED_HEAD).is_file():
        linear = Checkpoint(folder, read_pickled(folder / PICKLED_HEAD))
    else:
        linear = Checkpoint(folder, open_checkpoint(folder).readers, "linear.")
        if "weight" not in linear:
            return None
    bias = linear("bias") if "bias" in linear else None
    return Projection((Layer(linear("weight"), bias, "Identity", residual=False),))
