"""The folder that ships: PyLate's layout, so that any reader of ColBERT models understands it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from model import shapes_of
from safetensors.numpy import save
from tokens import DOCUMENT_MARKER, QUERY_MARKER, SKIPLIST, Layout

from laterank.export.bert import layer_count

INT8_FILE = "model_int8.onnx"
POSITIONS = 512


def write_json(path: Path, value: object) -> None:
    """Write readable JSON with a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer without its serialised padding and truncation, and with both markers as special tokens."""
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = None
    template = tokenizer["added_tokens"][0]
    for token in (QUERY_MARKER, DOCUMENT_MARKER):
        tokenizer["added_tokens"].append(
            template | {"id": tokenizer["model"]["vocab"][token], "content": token}
        )
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    target.write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def widths(weights: Mapping[str, np.ndarray]) -> dict[str, int | list[int]]:
    """Return how many heads and neurons the layers have: a number where all have the same, a list where they differ."""
    shapes = shapes_of({name: len(value) for name, value in weights.items()})
    heads, neurons = [shape.heads for shape in shapes], [shape.neurons for shape in shapes]
    named = {"num_attention_heads": heads, "intermediate_size": neurons}
    return {name: sizes if len(set(sizes)) > 1 else sizes[0] for name, sizes in named.items()}


def write_configs(
    source: Path, target: Path, layout: Layout, weights: dict[str, np.ndarray], dims: tuple[int, ...]
) -> None:
    """Write the PyLate configuration files and the projection, which the graph also holds."""
    dim = len(weights["head.bias"])
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config |= {"_name_or_path": "laterank", "num_hidden_layers": layer_count(weights)} | widths(weights)
    write_json(target / "config.json", config)
    write_json(target / "sentence_bert_config.json", {"max_seq_length": POSITIONS, "do_lower_case": False})
    colbert = {
        "query_prefix": QUERY_MARKER,
        "document_prefix": DOCUMENT_MARKER,
        "query_length": layout.query_length,
        "document_length": layout.document_length,
        "do_query_expansion": layout.do_query_expansion,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(SKIPLIST),
        "similarity_fn_name": "MaxSim",
        "matryoshka_dims": list(dims),
    }
    write_json(target / "config_sentence_transformers.json", colbert)
    modules = [
        ("0", "", "sentence_transformers.models.Transformer"),
        ("1", "1_Dense", "pylate.models.Dense.Dense"),
    ]
    write_json(
        target / "modules.json", [{"idx": int(n), "name": n, "path": p, "type": t} for n, p, t in modules]
    )
    activation = "torch.nn.modules.linear.Identity"
    dense = {
        "in_features": weights["head.weight"].shape[1],
        "out_features": dim,
        "bias": True,
        "activation_function": activation,
    }
    write_json(target / "1_Dense" / "config.json", dense)
    projection = {f"linear.{part}": weights[f"head.{part}"].astype(np.float16) for part in ("weight", "bias")}
    (target / "1_Dense" / "model.safetensors").write_bytes(save(projection))


def write_bundle(
    source: Path,
    target: Path,
    graph: Path,
    weights: dict[str, np.ndarray],
    layout: Layout,
    dims: tuple[int, ...],
    notice: str,
) -> None:
    """Write all but the model card; ``source`` has the tokenizer and the Apache licence's text."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(graph, target / graph.name)
    write_tokenizer(source, target / "tokenizer.json")
    write_configs(source, target, layout, weights, dims)
    shutil.copyfile(source / "LICENSE", target / "LICENSE")
    (target / "NOTICE").write_text(notice, encoding="utf-8")


def replace_bundle(built: Path, shipped: Path) -> None:
    """Put a checked bundle in the place of the shipped one, file by file, each move atomic."""
    staged = shipped.with_name(shipped.name + ".new")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(built, staged)
    for path in sorted(path for path in staged.rglob("*") if path.is_file()):
        place = shipped / path.relative_to(staged)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    shutil.rmtree(staged)
