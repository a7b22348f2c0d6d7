"""Token embeddings from an ONNX file, one text per run, as the package encodes with an INT8 graph."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from tokens import ColbertTokenizer


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a graph with one thread per run; several runs share the machine instead."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class OnnxEncoder:
    """Encodes queries and documents with markers, expansion and skiplist; rows come back with unit length."""

    def __init__(self, path: Path, tokenizer: ColbertTokenizer, threads: int = 2) -> None:
        self.path = path
        self.session = open_session(path)
        self.tokenizer = tokenizer
        self.threads = threads
        self.inputs = {node.name for node in self.session.get_inputs()}

    def run(self, ids: list[int]) -> np.ndarray:
        """Encode one row of ids; mask tokens are not attended. *Shape:* ``(tokens, dim)``."""
        row = np.array([ids], dtype=np.int64)
        attended = (row != self.tokenizer.mask).astype(np.int64)
        feed = {"input_ids": row, "attention_mask": attended, "token_type_ids": np.zeros_like(row)}
        rows: np.ndarray = self.session.run(None, {name: feed[name] for name in self.inputs})[0][0]
        norms: np.ndarray = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: np.ndarray = rows / np.maximum(norms, 1e-12)
        return unit

    def run_all(self, rows: list[list[int]]) -> list[np.ndarray]:
        """Encode many rows on a few Python threads."""
        with ThreadPoolExecutor(self.threads) as threads:
            return list(threads.map(self.run, rows))

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        """Encode queries; every row counts."""
        return self.run_all(self.tokenizer.queries(texts))

    def documents(self, texts: list[str], length: int | None = None) -> list[np.ndarray]:
        """Encode documents without their punctuation rows, in float16 because a corpus is kept whole."""
        ids = self.tokenizer.documents(texts, length)
        encoded = self.run_all(ids)
        return [
            rows[self.tokenizer.kept(row)].astype(np.float16) for rows, row in zip(encoded, ids, strict=True)
        ]


def maxsim(query: np.ndarray, documents: list[np.ndarray]) -> np.ndarray:
    """Score documents: the sum over query rows of the best document row."""
    lengths = np.array([len(document) for document in documents])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    products = np.concatenate(documents).astype(np.float32) @ query.T
    scores: np.ndarray = np.maximum.reduceat(products, starts, axis=0).sum(axis=1)
    return scores
