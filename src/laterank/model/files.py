"""Which of a model's files are needed, and what they come to once they are on this machine."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from mmap import ACCESS_READ, mmap
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from laterank.errors import InputTypeError, ModelFormatError, ModelNotFoundError
from laterank.model import hub
from laterank.model.calibration import CALIBRATION_FILE
from laterank.model.config import ColbertConfig
from laterank.model.dialects import DIALECTS, max_positions, read_config, read_json
from laterank.model.external_data import plain_copy_for_external_data
from laterank.model.golden import GOLDEN_FILE
from laterank.model.registry import KnownModel, known_model, known_models

__all__ = ["BUNDLED", "BUNDLED_FOLDER", "ModelFiles", "find_model", "settings_files"]

logger = logging.getLogger(__name__)

BUNDLED = "bundled"
"""The name of the model inside the wheel."""
BUNDLED_FOLDER = Path(__file__).parent / BUNDLED

FULL_PRECISION = ("onnx/model.onnx", "model.onnx", "vespa_colbert.onnx")
QUANTIZED = (
    "model_int8.onnx",
    "onnx/model_int8.onnx",
    "model_quantized.onnx",
    "onnx/model_quantized.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
    "onnx/model_qint8_avx512.onnx",
    "onnx/model_quint8_avx2.onnx",
    "onnx/model_qint8_arm64.onnx",
)
"""Looked for in this order, after what the registry says."""

MOST_LISTED = 12

MODULES = ("Transformer", "Dense", "Normalize", "MultiVectorMask")
"""What sentence-transformers and PyLate put into ``modules.json`` for a late-interaction model."""

_SETTINGS_FILES = (
    *dict.fromkeys(dialect.file for dialect in DIALECTS),
    "config.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    CALIBRATION_FILE,
    GOLDEN_FILE,
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on this machine: its settings and the paths of what has to be loaded.

    Attributes:
        name: What the caller asked for.
        folder: Where the files lie.
        config: The model's settings.
        onnx: The graph.
        onnx_data: The files beside it with weights that one file cannot hold.
        tokenizer: ``tokenizer.json``.
        dense: Folders of the projection's layers, in order; empty where there are none.
        linear: A checkpoint whose ``linear.weight`` is the projection (Stanford); None where there is none.
        calibration: The map from scores to probabilities; None where there is none.
        hidden_size: Numbers in a hidden state, where ``config.json`` says so.
        revision: The hub's commit; None for a local folder.
    """

    name: str
    folder: Path
    config: ColbertConfig
    onnx: Path
    tokenizer: Path
    onnx_data: tuple[Path, ...] = ()
    dense: tuple[Path, ...] = ()
    linear: Path | None = None
    calibration: Path | None = None
    hidden_size: int | None = None
    revision: str | None = None

    def digest(self) -> bytes:
        """Return a digest of the graph's, its data's and the tokenizer's bytes."""
        digest = hashlib.blake2b(digest_size=16)
        for path in (self.onnx, *self.onnx_data, self.tokenizer):
            content = hashlib.blake2b(digest_size=16)
            with _opened(path) as file:
                while block := file.read(1 << 20):
                    content.update(block)
            digest.update(content.digest())
        return digest.digest()

    def graph_contains(self, name: bytes) -> bool:
        """Tell whether an operator's name stands in the graph's file."""
        with _opened(self.onnx) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return content.find(name) >= 0


def _opened(path: Path) -> BinaryIO:
    """Open one of a model's files, which may have gone since it was found.

    Raises:
        ModelFormatError: If it is missing, unreadable or empty.
    """
    try:
        if path.stat().st_size:
            return path.open("rb")
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error}; download or copy the model again") from error
    raise ModelFormatError(f"{path} is empty; download or copy the model again")


def find_model(
    model: str | PathLike[str] = BUNDLED,
    *,
    config: ColbertConfig | Mapping[str, Any] | None = None,
    onnx_file: str | None = None,
    quantized: bool | None = None,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> ModelFiles:
    """Find a model by name, and download it where that is needed and allowed.

    Args:
        model: ``"bundled"``, a hub id such as ``"answerdotai/answerai-colbert-small-v1"``, or a local folder.
        config: Single settings that correct the model's files, or a ``ColbertConfig`` in place of them.
        onnx_file: The graph to use, relative to the model; None for the first that is there, full precision first.
        quantized: True for the INT8 graph, False for full precision, None for whatever is there.
        revision: A branch, tag or commit of the hub's repository.
        cache_dir: The hub's cache; None for the one that ``HF_HOME`` and its kin name.
        local_files_only: Never use the network.
        token: The hub's access token; None for the one that ``HF_TOKEN`` or a login gives.

    Raises:
        ModelNotFoundError: If there is no such model, or it is out of reach.
        ModelFormatError: If files are missing, broken or contradict each other.
    """
    if not isinstance(model, (str, PathLike)):
        raise InputTypeError(
            f"model is {type(model).__name__}, expected a hub id, a folder's path or {BUNDLED!r}"
        )
    if config is not None and not isinstance(config, (ColbertConfig, Mapping)):
        raise InputTypeError(
            f"config is {type(config).__name__}, expected a ColbertConfig or a mapping of settings"
        )
    name = model if isinstance(model, str) else str(Path(model).absolute())
    known = known_model(name)

    def choose(names: Sequence[str]) -> list[str]:
        graph = choose_onnx(names, name=name, known=known, onnx_file=onnx_file, quantized=quantized)
        return needed_files(names, graph, known=known)

    try:
        resolved = hub.resolve(
            BUNDLED_FOLDER if model == BUNDLED else model,
            choose,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
    except ModelNotFoundError as error:
        alike = get_close_matches(name, [BUNDLED, *(entry.name for entry in known_models())], n=1)
        if known is None and alike:
            raise ModelNotFoundError(f"{error} Did you mean {alike[0]!r}?") from error
        raise
    if known and not known.commercial_use:
        _log_once(f"{name} is licensed under {known.licence}: no commercial use")
    return _read_files(name, resolved, _read_settings(resolved.folder, known, config))


def _read_settings(
    folder: Path, known: KnownModel | None, config: ColbertConfig | Mapping[str, Any] | None
) -> ColbertConfig:
    if isinstance(config, ColbertConfig):
        return replace(config, max_length=config.max_length or max_positions(folder))
    return read_config(folder, registered=known.all_settings() if known else None, given=config)


def _read_files(name: str, resolved: hub.ResolvedModel, config: ColbertConfig) -> ModelFiles:
    folder = resolved.folder
    graph = next(file for file in resolved.files if file.endswith(".onnx"))
    data = [Path(file).name for file in external_data(resolved.files, graph)]
    onnx = plain_copy_for_external_data(folder / graph, data) if data else folder / graph
    checkpoint, network_file = folder / "model.safetensors", folder / "config.json"
    network = read_json(network_file) if network_file.is_file() else {}
    return ModelFiles(
        name=name,
        folder=folder,
        config=config,
        onnx=onnx,
        onnx_data=tuple(onnx.parent / file for file in data),
        tokenizer=folder / "tokenizer.json",
        dense=dense_folders(folder),
        linear=checkpoint if checkpoint.is_file() else None,
        calibration=folder / CALIBRATION_FILE if CALIBRATION_FILE in resolved.files else None,
        hidden_size=network.get("hidden_size"),
        revision=resolved.revision,
    )


def choose_onnx(
    names: Sequence[str],
    *,
    name: str,
    known: KnownModel | None,
    onnx_file: str | None,
    quantized: bool | None,
) -> str:
    """Choose the graph among a model's files.

    Raises:
        ModelFormatError: If none fits, naming what was looked for and what is there.
    """
    graphs = [file for file in names if file.endswith(".onnx")]
    if onnx_file is not None:
        if not isinstance(onnx_file, str):
            raise InputTypeError(
                f"onnx_file is {onnx_file!r}, expected a name relative to the model, such as 'onnx/model.onnx'"
            )
        wanted: tuple[str, ...] = (onnx_file,)
    else:
        full = ((known.onnx_file,) if known and known.onnx_file else ()) + FULL_PRECISION
        small = ((known.quantized_file,) if known and known.quantized_file else ()) + QUANTIZED
        wanted = full + small if quantized is None else small if quantized else full
    for candidate in dict.fromkeys(wanted):
        if candidate in graphs:
            return candidate
    there = (
        f"it has {_listed(graphs)}; pass onnx_file="
        if graphs
        else "it has no .onnx file at all; make one from its weights: laterank export MODEL FOLDER"
    )
    raise ModelFormatError(
        f"{name} has none of {', '.join(dict.fromkeys(wanted))} (quantized={quantized}); {there}"
    )


def _listed(graphs: Sequence[str]) -> str:
    shown, more = graphs[:MOST_LISTED], len(graphs) - MOST_LISTED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def external_data(names: Sequence[str], graph: str) -> list[str]:
    """Return the files in which a graph too large for one file keeps its weights (``model.onnx_data`` and the like)."""
    return [name for name in names if name != graph and name.startswith((f"{graph}_", f"{graph}."))]


def needed_files(names: Sequence[str], graph: str, *, known: KnownModel | None = None) -> list[str]:
    """Return the files that loading needs, out of all that a repository has.

    Raises:
        ModelFormatError: If the tokenizer is not among them.
    """
    settings = settings_files(names)
    checkpoint = []
    graph_is_projected = known is not None and known.settings.get("projected") is True
    if (
        not graph_is_projected
        and "artifact.metadata" in names
        and not any("_Dense/" in name for name in settings)
    ):
        checkpoint = [name for name in names if name == "model.safetensors"]  # may hold the projection
    return [*settings, *checkpoint, graph, *external_data(names, graph)]


def settings_files(names: Sequence[str]) -> list[str]:
    """Return the files of a model that are neither its graph nor the network's weights, out of all that it has.

    Raises:
        ModelFormatError: If the tokenizer is not among them.
    """
    if "tokenizer.json" not in names:
        raise ModelFormatError(
            "the model has no tokenizer.json (a vocab.txt or a SentencePiece model alone is not enough); "
            "save its fast tokenizer into the folder: AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
        )
    settings = [name for name in _SETTINGS_FILES if name in names]
    return ["tokenizer.json", *settings, *(name for name in names if _is_module(name))]


def _is_module(name: str) -> bool:
    """Tell whether a file belongs to a numbered module of sentence-transformers, such as ``1_Dense/config.json``."""
    return name[:1].isdigit() and name.count("/") == 1 and name.endswith((".json", ".safetensors"))


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


_said: set[str] = set()


def _log_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
