"""Scores of a cross-encoder for every training candidate, cached on disk because they cost most of the time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from data import Example
from kept import digest
from tokenizers import Tokenizer

CHUNK_EXAMPLES = 64
PAIR_TOKENS = 320


class CrossEncoder:
    """An ONNX cross-encoder that reads query and document together; one pair per run, so no padding is computed."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(PAIR_TOKENS, strategy="only_second")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self.threads = threads

    def score_pair(self, pair: tuple[str, str]) -> float:
        """Return the relevance logit of one query and document."""
        encoded = self.tokenizer.encode(*pair)
        inputs = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        wanted = {node.name for node in self.session.get_inputs()}
        feed = {name: np.array([values], dtype=np.int64) for name, values in inputs.items() if name in wanted}
        return float(self.session.run(None, feed)[0].reshape(-1)[0])

    def score(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        """Score pairs with a few Python threads on a session of one thread, which beats one run of two threads."""
        with ThreadPoolExecutor(self.threads) as threads:
            return np.array(list(threads.map(self.score_pair, pairs)), dtype=np.float32)


def teacher_scores(examples: list[Example], wanted: list[int], model: Path, work: Path) -> np.ndarray:
    """Score the candidates of the ``wanted`` examples; the other rows are NaN.

    The work folder keeps what was scored under a digest of the examples and the model, so that a run that was cut goes on, and
    scores of other examples are never taken for these.

    *Shape:* ``(examples, candidates)``
    """
    made = [[one.query, *one.documents] for one in examples]
    cache = work / f"cross_encoder-{digest(made, model / 'model.onnx', model / 'tokenizer.json')}.npy"
    width = len(examples[0].documents)
    scores = np.load(cache) if cache.exists() else np.full((len(examples), width), np.nan, dtype=np.float32)
    missing = [position for position in wanted if np.isnan(scores[position, 0])]
    if not missing:
        return scores
    teacher = CrossEncoder(model)
    for start in range(0, len(missing), CHUNK_EXAMPLES):
        chunk = missing[start : start + CHUNK_EXAMPLES]
        pairs = [(examples[p].query, document) for p in chunk for document in examples[p].documents]
        scores[chunk] = teacher.score(pairs).reshape(len(chunk), width)
        np.save(cache.with_suffix(".part.npy"), scores)
        cache.with_suffix(".part.npy").rename(cache)
        print(f"teacher: {start + len(chunk)} of {len(missing)} queries", flush=True)
    return scores
