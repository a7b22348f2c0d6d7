"""``modules.json``, in which sentence-transformers and PyLate list what a model is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError
from laterank.model.json_files import read_json

__all__ = ["dense_folders"]

MODULES = ("Transformer", "Dense", "Normalize", "MultiVectorMask")
"""What sentence-transformers and PyLate put into ``modules.json`` for a late-interaction model."""


def dense_folders(folder: Path) -> tuple[Path, ...]:
    """Return the folders of the projection's layers, in the order in which ``modules.json`` applies them.

    Raises:
        ModelFormatError: If ``modules.json`` names a layer that is not there.
    """
    modules_file = folder / "modules.json"
    if not modules_file.is_file():
        return tuple(sorted(path.parent for path in folder.glob("*_Dense/config.json")))
    folders = []
    for module in _read_modules(modules_file):
        kind = module["type"].rsplit(".", 1)[-1]
        if kind not in MODULES:
            raise ModelFormatError(
                f'{modules_file} has a module "{module["type"]}", expected only {", ".join(MODULES)}; '
                "export the model with that step inside the graph, and take the module out of the file"
            )
        if kind == "Dense":
            layer = folder / module["path"]
            if not (layer / "config.json").is_file():
                raise ModelFormatError(
                    f'{modules_file} names the layer "{module["path"]}", but {layer} has no config.json'
                )
            folders.append(layer)
    return tuple(folders)


def _read_modules(path: Path) -> list[dict[str, str]]:
    modules = read_json(path, expected=list)
    if not all(isinstance(module, dict) and _is_module_entry(module) for module in modules):
        raise ModelFormatError(
            f'{path} is no list of modules with "type" and "path"; download or copy it again'
        )
    return sorted(modules, key=lambda module: module.get("idx", 0))


def _is_module_entry(module: Mapping[str, Any]) -> bool:
    kind, path, position = module.get("type"), module.get("path"), module.get("idx", 0)
    inside = isinstance(path, str) and ".." not in Path(path).parts and not Path(path).is_absolute()
    return isinstance(kind, str) and inside and isinstance(position, int)
