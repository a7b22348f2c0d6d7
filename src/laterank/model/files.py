"""A model found by name, and what its files come to once they are on this machine."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from mmap import ACCESS_READ, mmap
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from laterank.errors import InputTypeError, ModelFormatError, ModelNotFoundError
from laterank.model import hub
from laterank.model.calibration import CALIBRATION_FILE
from laterank.model.config import ColbertConfig
from laterank.model.external_data import plain_copy_for_external_data
from laterank.model.json_files import read_json
from laterank.model.layout import choose_onnx, external_data, needed_files
from laterank.model.modules import dense_folders
from laterank.model.registry import KnownModel, known_model, known_models
from laterank.model.settings import max_positions, read_config

__all__ = ["BUNDLED", "BUNDLED_FOLDER", "ModelFiles", "find_model"]

logger = logging.getLogger(__name__)

BUNDLED = "bundled"
"""The name of the model inside the wheel."""
BUNDLED_FOLDER = Path(__file__).parent / BUNDLED


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
        seen: The files as they were when the model was found, for ``refuse_change``; empty where nothing is to be compared.
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
    seen: tuple[_Seen, ...] = field(default=(), repr=False, compare=False)

    def as_seen_now(self) -> ModelFiles:
        """Return the same model with its files as they are now: for another process, maybe on another machine."""
        return replace(self, seen=_seen(path for path, _ in self.seen))

    def refuse_change(self) -> None:
        """Compare the files with what they were when the model was found, after something was read from them.

        They are read at their first use, and again in forks and worker processes. Whoever reads other files there than the rest
        did would give rows of another model under this one's name, and cache them.

        Raises:
            ModelFormatError: If one was replaced, written or deleted meanwhile: size or time tell, not the content.
        """
        for path, stamp in self.seen:
            if _stamp(path) != stamp:
                raise ModelFormatError(
                    f"{path} was changed or replaced (or written once more) after {self.name} was found, and parts of two models "
                    "must not mix; make a new encoder or reranker, which reads what is there now"
                )

    def digest(self) -> bytes:
        """Return a digest of the graph's, its data's and the tokenizer's bytes.

        Raises:
            ModelFormatError: If a file is missing, empty, or no longer what it was when the model was found.
        """
        digest = hashlib.blake2b(digest_size=16)
        for path in (self.onnx, *self.onnx_data, self.tokenizer):
            content = hashlib.blake2b(digest_size=16)
            with _opened(path) as file:
                while block := file.read(1 << 20):
                    content.update(block)
            digest.update(content.digest())
        self.refuse_change()
        return digest.digest()

    def graph_contains(self, name: bytes) -> bool:
        """Tell whether an operator's name stands in the graph's file."""
        with _opened(self.onnx) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            found = content.find(name) >= 0
        self.refuse_change()
        return found


_Seen: TypeAlias = "tuple[Path, tuple[int, int] | None]"


def _seen(paths: Iterable[Path]) -> tuple[_Seen, ...]:
    return tuple((path, _stamp(path)) for path in paths)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a file's size and time, or None where there is none. Its number may differ from one look to the next on a network."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


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
    if model == BUNDLED and not BUNDLED_FOLDER.is_dir():
        raise ModelNotFoundError(
            f"the bundled model is not at {BUNDLED_FOLDER}: laterank was imported from an archive, or is installed in part; "
            "install it into a folder (pip install laterank), or pass a model's folder or hub id"
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
        if alike and alike[0] != name:
            raise ModelNotFoundError(f"{error} Did you mean {alike[0]!r}?") from error
        raise
    if known and not known.commercial_use:
        _log_once(f"{name} is licensed under {known.licence}: no commercial use")
    seen = _seen(resolved.folder / file for file in resolved.files)  # before any is read
    return _read_files(name, resolved, _read_settings(resolved.folder, known, config), seen)


def _read_settings(
    folder: Path, known: KnownModel | None, config: ColbertConfig | Mapping[str, Any] | None
) -> ColbertConfig:
    if isinstance(config, ColbertConfig):
        return replace(config, max_length=config.max_length or max_positions(folder))
    return read_config(folder, registered=known.all_settings() if known else None, given=config)


def _read_files(
    name: str, resolved: hub.ResolvedModel, config: ColbertConfig, seen: tuple[_Seen, ...]
) -> ModelFiles:
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
        seen=seen,
    )


_said: set[str] = set()


def _log_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
