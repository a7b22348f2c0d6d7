"""A model's settings: what the dialects that its folder speaks say together, the registry and the caller above them.

A folder may speak several dialects at once (answerai-colbert-small-v1 speaks two). The first in ``DIALECTS`` that it
speaks leads, the others fill in what it leaves open, and where two disagree nothing is guessed: that is an error,
settled by the caller's ``config=`` or by the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError
from laterank.model.config import ColbertConfig, build_config, check_settings
from laterank.model.dialects import DIALECTS, Dialect, Settings
from laterank.model.json_files import read_json

__all__ = ["max_positions", "read_config"]

CONTRADICTABLE = (
    "query_prefix",
    "document_prefix",
    "query_length",
    "document_length",
    "attend_to_expansion_tokens",
    "embedding_size",
)
"""What two dialects must agree on. Expansion is not among them: the LightOn exporter writes
``do_query_expansion: false`` whatever the model was trained with, so it counts only where nothing else speaks."""


def read_config(
    folder: Path, *, registered: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None
) -> ColbertConfig:
    """Read a model folder's settings, whichever of the four dialects it speaks.

    Args:
        folder: The model's local folder.
        registered: What the registry knows better than the files.
        given: What the caller knows better than both.

    Raises:
        ModelFormatError: If no dialect is recognised, a setting is missing, or two files contradict each other.
        InputError: If ``given`` has an unknown name or a wrong value.
    """
    check_settings(given or {})
    certain = {**(registered or {}), **(given or {})}
    spoken = [dialect for dialect in DIALECTS if (folder / dialect.file).is_file() and dialect.speaks(folder)]
    if not spoken and not {"query_prefix", "document_prefix", "query_length", "document_length"} <= set(
        certain
    ):
        tried = "; ".join(f"{dialect.name}: {dialect.file}" for dialect in DIALECTS)
        raise ModelFormatError(
            f"{folder} has the settings of no known dialect (looked for {tried}); pass config=ColbertConfig(...)"
        )
    settings: Settings = {"max_length": max_positions(folder)}
    read = [(dialect, _read(dialect, folder)) for dialect in spoken]
    _refuse_contradictions(read, certain)
    for _, found in reversed(read):
        settings.update(found)
    source = " and ".join(str(folder / dialect.file) for dialect in spoken) or f"config= for {folder}"
    longest = certain.get("max_length") or settings["max_length"]
    return build_config(settings | certain | {"max_length": longest}, source=source)


def _read(dialect: Dialect, folder: Path) -> Settings:
    """Read one dialect; a value of another type than the dialect has is named by its file."""
    try:
        return dialect.read(folder)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{folder / dialect.file}, or a file beside it, has a value of the wrong type ({error}); correct it"
        ) from error


def _refuse_contradictions(read: list[tuple[Dialect, Settings]], certain: Mapping[str, Any]) -> None:
    for name in CONTRADICTABLE:
        said = [(dialect.file, found[name]) for dialect, found in read if found.get(name) is not None]
        if name not in certain and any(value != said[0][1] for _, value in said):
            versions = ", ".join(f"{file} says {value!r}" for file, value in said)
            raise ModelFormatError(
                f'the files contradict each other on "{name}": {versions}; pass config={{"{name}": ...}}'
            )


def max_positions(folder: Path) -> int | None:
    """Read how many positions the network has; XLM-R's first ones are taken by its padding offset."""
    path = folder / "config.json"
    if not path.is_file():
        return None
    network = read_json(path)
    positions = network.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if "roberta" in str(network.get("model_type", "")):
        positions -= int(network.get("pad_token_id") or 0) + 1
    return positions
