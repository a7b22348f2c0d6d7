"""Which of the files that a model has are needed."""

from __future__ import annotations

from collections.abc import Sequence

from laterank.errors import InputTypeError, ModelFormatError
from laterank.model.calibration import CALIBRATION_FILE
from laterank.model.dialects import DIALECTS
from laterank.model.golden import GOLDEN_FILE
from laterank.model.registry import KnownModel

__all__ = ["choose_onnx", "external_data", "needed_files", "settings_files"]

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
