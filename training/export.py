"""Weights to ONNX in both precisions, and the checks an export must pass before it ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from calibrate import smoothing_factors
from encode import OnnxEncoder
from model import EPSILON, HEADS, ColbertModel
from tokens import ColbertTokenizer

from laterank.encoding.projection import Layer, Projection
from laterank.export.bert import BertNetwork
from laterank.export.quantization import quantize_graph

MAX_FP32_DIFFERENCE = 1e-4
UNUSED = range(104, 999)  # [unused99] to [unused993]: names in the vocabulary that no text ever becomes
MIN_MEAN_COSINE = 0.995
MAX_BYTES = 24_420_000


def numpy_weights(model: ColbertModel) -> dict[str, np.ndarray]:
    """Return every parameter as a numpy array."""
    return {name: value.detach().float().numpy() for name, value in model.state_dict().items()}


def export(
    model: ColbertModel, rows: list[list[int]], work: Path, *, six_bit_words: bool
) -> tuple[Path, Path]:
    """Write the fp32 and the INT8 graph; ``rows`` are the token rows that calibrate the INT8 one."""
    weights = numpy_weights(model)
    head = Layer(weights["head.weight"], weights["head.bias"], "Identity", residual=False)
    full = BertNetwork(weights, HEADS, EPSILON).graph(Projection((head,)))
    smoothing = smoothing_factors(model, rows)
    small = quantize_graph(
        full, smoothing=smoothing, half_precision=True, unused_ids=UNUSED, six_bit_words=six_bit_words
    )
    paths = work / "model_fp32.onnx", work / "model_int8.onnx"
    for path, graph in zip(paths, (full, small), strict=True):
        path.write_bytes(graph.SerializeToString(deterministic=True))
    return paths


@torch.no_grad()
def fp32_difference(model: ColbertModel, encoder: OnnxEncoder, rows: list[list[int]]) -> float:
    """Return the largest difference between torch and the fp32 graph, on a padded batch with hidden positions."""
    length = max(map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows])
    attended = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    attended[:, 5] = 0
    expected = model(torch.tensor(ids), torch.tensor(attended)).numpy()
    computed = encoder.session.run(None, {"input_ids": ids, "attention_mask": attended})[0]
    return float(np.abs(expected - computed)[attended == 1].max())


def seconds(call: Callable[[], object]) -> float:
    """Return the best CPU time of three calls."""
    times = []
    for _ in range(3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def check_export(
    model: ColbertModel, paths: tuple[Path, Path], tokenizer: ColbertTokenizer, rows: list[list[int]]
) -> dict[str, float]:
    """Compare torch, fp32 and INT8 on ``rows``; raise where an export may not ship."""
    full, small = (OnnxEncoder(path, tokenizer, threads=1) for path in paths)
    exact = np.concatenate([full.run(row) for row in rows])
    cosines = (exact * np.concatenate([small.run(row) for row in rows])).sum(axis=1)
    long = [row for row in rows if len(row) >= 180][:40]
    tokens = sum(map(len, long))
    facts = {
        "fp32_difference": fp32_difference(model, full, rows[:8]),
        "cosine_mean": float(cosines.mean()),
        "cosine_p1": float(np.percentile(cosines, 1)),
        "layers": float(len(model.layers)),
        "bytes": float(paths[1].stat().st_size),
        "fp32_tokens_per_second": tokens / seconds(lambda: [full.run(row) for row in long]),
        "int8_tokens_per_second": tokens / seconds(lambda: [small.run(row) for row in long]),
    }
    if (
        facts["fp32_difference"] > MAX_FP32_DIFFERENCE
        or facts["cosine_mean"] < MIN_MEAN_COSINE
        or facts["bytes"] > MAX_BYTES
    ):
        raise ValueError(f"the export failed its checks: {facts}")
    return facts
