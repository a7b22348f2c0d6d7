"""The weights of a model folder, whichever file holds them, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError
from laterank.export.graph import Floats
from laterank.model.json_files import read_json
from laterank.model.safetensors import read_tensor, tensor_names

__all__ = ["Checkpoint", "open_checkpoint", "read_pickled"]

ONE_FILE, SHARDS, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""As TensorFlow called them; checkpoints of 2018 to 2020 still do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors by name, read when they are asked for.

    Attributes:
        folder: Where the files lie.
        readers: A function for each tensor, under the name that it has in the file.
        prefix: What all names of the encoder begin with, such as ``bert.``; left out of the names that are asked for.
    """

    folder: Path
    readers: Mapping[str, Callable[[], Floats]]
    prefix: str = ""

    def __contains__(self, name: str) -> bool:
        return self._stored(name) in self.readers

    def __call__(self, name: str) -> Floats:
        """Read one tensor of the encoder.

        Raises:
            ModelFormatError: If it is not there.
        """
        if name not in self:
            there = ", ".join(sorted(self.readers)[:8]) or "nothing"
            raise ModelFormatError(
                f'{self.folder} has no weight "{self.prefix}{name}"; its checkpoint begins with {there}. Is "model_type" '
                "in config.json the network's own?"
            )
        return self.readers[self._stored(name)]()

    def below(self, name: str) -> Checkpoint:
        """Return the same tensors without the prefix before a tensor that every encoder of a kind has."""
        found = [stored for stored in self.readers if stored == name or stored.endswith(f".{name}")]
        if not found:
            return Checkpoint(self.folder, self.readers)  # the first weight that is asked for says so
        return Checkpoint(self.folder, self.readers, min(found, key=len).removesuffix(name))

    def _stored(self, name: str) -> str:
        stored = f"{self.prefix}{name}"
        if stored not in self.readers:
            for old, new in OLD_NAMES.items():
                if stored.endswith(new):
                    return stored.removesuffix(new) + old
        return stored


def open_checkpoint(folder: Path) -> Checkpoint:
    """Find a folder's weights: ``model.safetensors``, its shards, or a ``pytorch_model.bin``.

    Raises:
        ModelFormatError: If there are none, or they need torch and it is not installed.
    """
    if (folder / ONE_FILE).is_file():
        return Checkpoint(folder, _of_files(folder, [ONE_FILE]))
    if (folder / SHARDS).is_file():
        places = read_json(folder / SHARDS).get("weight_map")
        if not isinstance(places, dict):
            raise ModelFormatError(f'{folder / SHARDS} has no "weight_map"; download or copy it again')
        return Checkpoint(folder, _of_files(folder, sorted(set(map(str, places.values())))))
    if (folder / PICKLED).is_file():
        return Checkpoint(folder, read_pickled(folder / PICKLED))
    raise ModelFormatError(
        f"{folder} has no weights: looked for {ONE_FILE}, {SHARDS}, {PICKLED}; download or copy the whole model"
    )


def _of_files(folder: Path, names: list[str]) -> dict[str, Callable[[], Floats]]:
    return {
        tensor: partial(read_tensor, folder / name, tensor)
        for name in names
        for tensor in tensor_names(folder / name)
    }


def read_pickled(path: Path) -> dict[str, Callable[[], Floats]]:
    """Return readers of a pickled file's tensors; torch unpickles those and nothing that could run.

    Raises:
        ModelFormatError: If torch is not installed, or cannot read the file.
    """
    try:
        import torch
    except ImportError as error:
        raise ModelFormatError(
            f"{path} can only be read with torch, which is not installed: pip install torch, or save the model as "
            "safetensors (model.save_pretrained(folder)) where it is"
        ) from error
    try:
        stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle's, its own and bare RuntimeError
        raise ModelFormatError(f"{path} cannot be read by torch {torch.__version__}: {error}") from error
    return {name: partial(_as_floats, tensor) for name, tensor in stored.items()}


def _as_floats(tensor: Any) -> Floats:
    values: Floats = tensor.float().numpy()
    return values
