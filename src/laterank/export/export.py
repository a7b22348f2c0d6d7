"""From a trained ColBERT to a folder that laterank loads: the graph in full precision and INT8, checked before it is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any
from uuid import uuid4

from laterank.checks import expanded
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.errors import EncodingError, InputError, ModelFormatError
from laterank.export.network import Network, read_network
from laterank.export.parity import Fidelity, Sample, batch_difference, least_row_cosine, reference_rows
from laterank.export.quantize import LEAST_COSINE, write_int8
from laterank.export.sample import make_sample
from laterank.export.saving import save_graph
from laterank.export.source import Source, find_source
from laterank.export.torch_network import load_torch_network
from laterank.model.files import find_model
from laterank.model.settings import read_config

__all__ = ["ExportReport", "export_model"]

GRAPH, INT8_GRAPH, REPORT = "onnx/model.onnx", "onnx/model_int8.onnx", "export.json"
LEAST_PARITY = 0.99999
MOST_BATCH_DIFFERENCE = 1e-4
CHECKED_SHORT, CHECKED_LONG, CHECKED_QUERIES = 5, 1, 2
"""Texts from both ends of a sample that the definition in numpy encodes, too, which is slow."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and what was measured.

    Attributes:
        folder: The exported model.
        architecture: The network's ``model_type``.
        dim: Numbers in a token embedding.
        parity: The least cosine of a full-precision row to the same row by the network's definition.
        batch_difference: By how much a number of a row changed at most between a document alone and among others.
        graph_bytes: Size of the full-precision graph, its data included.
        int8_bytes: Size of the INT8 graph; None without one.
        fidelity: How near INT8 is to full precision; None without it.
        kept: Products that INT8 hurt too much and that stay in float32 there.
        config: Settings that the folder's files do not tell and that loading needs as ``config=``; empty as a rule.
    """

    folder: Path
    architecture: str
    dim: int
    parity: float
    batch_difference: float
    graph_bytes: int
    int8_bytes: int | None
    fidelity: Fidelity | None
    kept: tuple[str, ...]
    config: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {**asdict(self), "folder": str(self.folder), "kept": list(self.kept)}


def export_model(
    model: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    quantize: bool = True,
    config: Mapping[str, Any] | None = None,
    texts: Sequence[str] | None = None,
    least_cosine: float = LEAST_COSINE,
    overwrite: bool = False,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> ExportReport:
    """Write the ONNX graph of a trained ColBERT into a folder that laterank loads.

    The settings and the tokenizer are copied as they are, so that every text becomes the same tokens; projection and
    normalisation go into the graph. BERT, RoBERTa, XLM-R and ModernBERT are written without torch; other networks go through
    ``torch.onnx.export``. Nothing is at ``folder`` until the graph has passed its checks.

    Args:
        model: A folder with weights, as PyLate, sentence-transformers 6 or colbert-ai (Stanford) saved it, or a hub id.
        folder: Where to; it is made.
        quantize: Whether to write the INT8 graph, too.
        config: Single settings that correct the model's files.
        texts: Documents like those that the model will see, to fit and measure INT8 with; None for the built-in ones.
        least_cosine: The mean cosine of INT8 rows to full-precision rows that is required.
        overwrite: Whether an earlier export at ``folder`` may be replaced.
        revision: A branch, tag or commit of the hub's repository.
        cache_dir: The hub's cache; None for the one that ``HF_HOME`` names.
        local_files_only: Never use the network.
        token: The hub's access token.

    Raises:
        InputError: If ``folder`` is there already, or an argument has no usable value.
        ModelNotFoundError: If there is no such model, or it is out of reach.
        ModelFormatError: If files are missing or broken, or the architecture needs torch and it is not installed.
        EncodingError: If the graph's rows are not those of the network.
    """
    target = expanded(folder).absolute()
    sample = make_sample(texts)
    source = find_source(
        model,
        config=config,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        token=token,
    )
    _check_target(target, source.folder, overwrite=overwrite)
    network = read_network(source.folder) or load_torch_network(source.folder, source.architecture)
    work = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        source.copy_to(work)
        save_graph(network.graph(source.projection), work / GRAPH)
        report = _checked(source, network, work, sample, least_cosine if quantize else None)
        facts = report.to_dict() | {"folder": target.name, "model": source.name}
        (work / REPORT).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        _check_target(target, source.folder, overwrite=overwrite)  # that was minutes ago
        _move(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return replace(report, folder=target)


def _check_target(target: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier export."""
    if not target.exists():
        return
    if target.resolve() == source.resolve():
        raise InputError(f"{target} holds the model itself; export it to another folder")
    if not (target / REPORT).is_file():
        raise InputError(f"{target} is there already and is no earlier export; name another folder")
    if not overwrite:
        raise InputError(f"{target} is there already; pass overwrite=True to replace the export in it")


def _checked(
    source: Source, network: Network, work: Path, sample: Sample, least_cosine: float | None
) -> ExportReport:
    """Compare what was written with the network's definition, quantise it, and report both.

    Raises:
        EncodingError: If a row is not what it should be, or depends on what is encoded beside it.
    """
    told = _settings_to_pass(work, source, network)
    files = find_model(work, quantized=False, config=replace(source.config, projected=told.get("projected")))
    encoder = ColbertEncoder(files)
    documents = (*sample.documents[:CHECKED_SHORT], *sample.documents[-CHECKED_LONG:])
    few = Sample(documents, sample.queries[:CHECKED_QUERIES])
    encoded = few.rows(encoder)
    tokenizer = ColbertTokenizer(files.tokenizer, files.config)
    parity = least_row_cosine(encoded, reference_rows(network, source.projection, tokenizer, few))
    if parity < LEAST_PARITY:
        raise EncodingError(
            f"the graph of {source.name} gives a row whose cosine to the network's own is {parity:.6f}, expected at least "
            f"{LEAST_PARITY}: this variant of {source.architecture} is not written right; please report it"
        )
    difference = batch_difference(encoder, encoded, few)
    if difference > MOST_BATCH_DIFFERENCE:
        raise EncodingError(
            f"the graph of {source.name} gives rows that depend on what is encoded beside them, by {difference:.2g}; "
            "please report it"
        )
    int8 = None if least_cosine is None else write_int8(files, work / INT8_GRAPH, sample, least_cosine)
    return ExportReport(
        folder=work,
        architecture=source.architecture,
        dim=encoder.dim,
        parity=parity,
        batch_difference=difference,
        graph_bytes=sum(path.stat().st_size for path in (files.onnx, *files.onnx_data)),
        int8_bytes=int8.bytes_after if int8 else None,
        fidelity=int8.fidelity if int8 else None,
        kept=int8.kept if int8 else (),
        config=told,
    )


def _settings_to_pass(work: Path, source: Source, network: Network) -> dict[str, Any]:
    """Return the settings that were given or registered and that the copied files do not tell."""
    wanted = source.config.to_dict()
    try:
        read = read_config(work).to_dict()
    except ModelFormatError:  # what only the caller or the registry could settle
        read = {}
    told = {name: value for name, value in wanted.items() if read.get(name, ...) != value}
    told.pop("embedding_size", None)  # the graph says so
    if source.projection is None or source.projection.out_features == network.hidden:
        told["projected"] = True  # nothing in the files could tell
    return told


def _move(work: Path, target: Path) -> None:
    """Put a finished export in its place, and what it replaces away."""
    if not target.exists():
        work.rename(target)
        return
    old = work.with_name(f"{work.name}.old")
    target.rename(old)
    try:
        work.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
