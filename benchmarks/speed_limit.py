"""How far encoding is from what this machine can do: the whole call against the matrix products that its graph consists of."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from interleaving import interleaved
from numpy.typing import NDArray
from onnx import TensorProto, helper
from speed_model import minilm_colbert_folder
from speed_numbers import Bar, speed_up, table, times_cells
from speed_texts import passages

from laterank import ColbertEncoder
from laterank.encoding.batching import CPU_BATCHING
from laterank.export.saving import load_graph

__all__ = ["limit_bars", "limit_tables", "measure_limit", "products_alone"]

Found = Mapping[str, Any]
Rows = NDArray[np.float32]

PRODUCTS = ("MatMul", "DynamicQuantizeMatMul")
FILES = {"fp32": "model.onnx", "INT8": "model_int8.onnx"}
WHOLE, ALONE = "encode_documents", "its matrix products alone"


def products_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph of all products with stored weights and of nothing else, each over drawn rows of its own width.

    An INT8 product rounds its inputs itself, as it does in the whole graph.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes, widths = [], set()
    for node in model.graph.node:
        if node.op_type in PRODUCTS and node.input[1] in stored:
            alone = onnx.NodeProto()
            alone.CopyFrom(node)
            width = stored[node.input[1]].dims[0]
            alone.input[0], alone.output[0] = f"rows{width}", f"product{len(nodes)}"
            nodes.append(alone)
            widths.add(width)
    if not nodes:
        raise ValueError(f"the graph has no product with a stored weight, of {', '.join(PRODUCTS)}")
    used = {name for node in nodes for name in node.input}
    body = helper.make_graph(
        nodes,
        "products",
        [
            helper.make_tensor_value_info(f"rows{width}", TensorProto.FLOAT, ["tokens", width])
            for width in sorted(widths)
        ],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes],
        [tensor for name, tensor in stored.items() if name in used],
    )
    return helper.make_model(body, opset_imports=model.opset_import, ir_version=model.ir_version)


def measure_limit(options: argparse.Namespace) -> dict[str, Any]:
    """Time the same MiniLM-L6-shaped model whole and in pieces, in each precision, over documents of two lengths."""
    folder = minilm_colbert_folder(options.build)
    found: dict[str, Any] = {}
    for kind in ("d50", "d200"):
        texts = passages(options.data, kind, options.documents)
        calls = {}
        for precision, file in FILES.items():
            encoder = ColbertEncoder.from_pretrained(
                folder, quantized=precision == "INT8", threads=options.threads
            )
            encoder.encode_documents(texts[:8])
            lengths = encoder.count_tokens(texts)
            calls[f"{precision}, {WHOLE}"] = partial(encoder.encode_documents, texts)
            batching = CPU_BATCHING if precision == "fp32" else replace(CPU_BATCHING, texts=1)
            runs = [sum(lengths[place] for place in batch) for batch in batching.plan(lengths)]
            calls[f"{precision}, {ALONE}"] = _products(folder / file, runs, options.threads)
        found[kind] = {
            "documents": len(texts),
            "tokens_mean": float(np.mean(lengths)),
            "milliseconds": interleaved(calls, options.rounds),
        }
    return found


def _products(file: Path, runs: Sequence[int], threads: int) -> Callable[[], None]:
    """Return a call that does the products of each run, given as its tokens, side by side on threads as the encoder does."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    graph = products_alone(load_graph(file)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    feeds: dict[int, dict[str, Rows]] = {
        tokens: {
            node.name: random.standard_normal((tokens, node.shape[1])).astype(np.float32)
            for node in session.get_inputs()
        }
        for tokens in set(runs)
    }

    def run(tokens: int) -> None:
        session.run(None, feeds[tokens])

    def call() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, runs))

    call()
    return call


def limit_tables(found: Found) -> list[str]:
    """Return both times, and the share of the whole that its products take."""
    lines: list[str] = []
    for measured in found.values():
        times = measured["milliseconds"]
        rows = []
        for name, taken in times.items():
            precision, what = name.split(", ", 1)
            if what == WHOLE:
                alone = times[f"{precision}, {ALONE}"]
                share = 1 / speed_up(taken, alone)[0]
                rows.append([precision, times_cells(taken)[0], times_cells(alone)[0], f"{100 * share:.0f}%"])
        said = f"{measured['documents']} documents of {measured['tokens_mean']:.0f} tokens, medians in ms."
        heads = ["weights", WHOLE, ALONE, "share of the whole"]
        lines += [said, "", *table(heads, rows), ""]
    return lines


def limit_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge nothing: it says what the other figures can become."""
    del results
    return []
