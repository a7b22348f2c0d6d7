"""INT8 graphs: rounding by its definition, the search for what hurts, and what quantising refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from conftest import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from laterank import ColbertEncoder, EncodingError, InputError, InputTypeError, ModelFormatError
from laterank.encoding.projection import Layer, Projection
from laterank.encoding.session import OnnxSession
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.export import quantize_model, rounding
from laterank.export.bert import BertNetwork
from laterank.export.calibration import factors, smoothing_factors
from laterank.export.network import read_network
from laterank.export.products import (
    feed_forward,
    find_products,
    find_tables,
    head_products,
    second_products,
    state_products,
)
from laterank.export.quantization import quantize_graph
from laterank.export.rounding import compensated_rows, quantize_rows, rounded_weights
from laterank.export.sample import halves, make_sample
from laterank.export.saving import load_graph, save_graph
from laterank.export.six_bits import pack, unpack, unpacking
from laterank.runtime import import_onnxruntime

TABLES = arrays.arrays(
    np.float32, (4, 6), elements=st.floats(-100, 100, width=32).filter(lambda x: not 0 < abs(x) < 1e-3)
)


def tiny_network() -> BertNetwork:
    """Return a random BERT of two layers."""
    network = read_network(GOLDEN / "bert-pylate")
    assert isinstance(network, BertNetwork)
    return network


def tiny_graph() -> onnx.ModelProto:
    """Return its graph with a projection."""
    return graph_of(tiny_network())


def graph_of(network: BertNetwork) -> onnx.ModelProto:
    """Return a network's graph with a drawn projection, always the same."""
    weight = np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32)
    return network.graph(Projection((Layer(weight, None, "Identity", residual=False),)))


def rows_of(model: onnx.ModelProto, path: Path, ids: np.ndarray) -> np.ndarray:
    """Run a graph on one text."""
    save_graph(model, path)
    return OnnxSession(path).run(ids[None], np.ones((1, len(ids)), dtype=bool))[0]


@given(TABLES)
def test_a_rounded_row_is_at_most_half_a_step_off(table: np.ndarray) -> None:
    """A row's step is its largest magnitude over 127."""
    rows, scale = quantize_rows(table)
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert rows.dtype == np.int8
    assert (np.abs(rows * scale - table) <= step * 0.5001 + 2e-5).all()


@given(TABLES, arrays.arrays(np.float32, 6, elements=st.floats(0, 1000, width=32)), st.floats(0.1, 0.9))
def test_smoothing_changes_no_product(table: np.ndarray, largest: np.ndarray, strength: float) -> None:
    """What divides the input multiplies the weights: ``(x / s) (s W) = x W``, and no factor is 0 or infinite."""
    smooth = factors(largest, table, strength)
    assert np.isfinite(smooth).all()
    assert (smooth > 0).all()
    np.testing.assert_allclose((largest / smooth) @ (table * smooth).T, largest @ table.T, rtol=1e-3, atol=1)


def test_products_are_found_by_what_they_do() -> None:
    """Four a layer and the projection; the feed-forward ones are those around the wide states."""
    model = tiny_graph()
    products = find_products(model)
    assert [product.name for product in products] == [
        *(f"layers.{n}.{part}" for n in (0, 1) for part in ("qkv", "attention_out", "up", "down")),
        "head",
    ]
    assert head_products(model, products) == {"head"}
    assert feed_forward(model, products) == {f"layers.{n}.{part}" for n in (0, 1) for part in ("up", "down")}
    assert second_products(model, products) == {"layers.0.down", "layers.1.down"}
    assert state_products(model, products) == {f"layers.{n}.{part}" for n in (0, 1) for part in ("qkv", "up")}
    assert [table.name for table in find_tables(model)] == ["words", "positions"]


def one_product(opset: int, *, bias: bool) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """Return ``x W + b``, a normalisation and a projection that changes nothing, as operators of a version, with W and b."""
    rng = np.random.default_rng(0)
    weight, added = rng.standard_normal((8, 4), np.float32), rng.standard_normal(4, np.float32)
    stored = {"w": weight, "scale": np.ones(4, np.float32), "head": np.eye(4, dtype=np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw" if bias else "y"]),
        helper.make_node("LayerNormalization", ["y", "scale"], ["even"]),
        helper.make_node("MatMul", ["even", "head"], ["rows"]),
    ]
    if bias:
        stored["b"] = added
        nodes.insert(1, helper.make_node("Add", ["xw", "b"], ["y"]))
    x, rows = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, "tokens", size])
        for name, size in (("x", 8), ("rows", 4))
    )
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "one", [x], [rows], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model, weight, added if bias else np.zeros(4, np.float32)


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("bias", [True, False])
def test_one_tokens_outliers_coarsen_no_other_row(opset: int, bias: bool) -> None:
    """A row a thousand times as large, and one of zeros; the axes of a maximum are written as the operators' version wants."""
    model, weight, added = one_product(opset, bias=bias)
    x = np.random.default_rng(1).standard_normal((1, 3, 8), np.float32)
    x[0, 1] *= 1000
    x[0, 2] = 0
    products = (x @ weight + added)[0]
    exact = (products - products.mean(axis=1, keepdims=True)) / (products.std(axis=1, keepdims=True) + 1e-6)

    def errors(by_row: tuple[str, ...]) -> np.ndarray:
        quantised = quantize_graph(model, by_row=by_row).SerializeToString()
        session = import_onnxruntime().InferenceSession(quantised, providers=["CPUExecutionProvider"])
        return np.abs(session.run(None, {"x": x})[0][0] - exact).max(axis=1)

    assert errors(())[0] > 0.5
    assert errors(("w",)).max() < 0.03


@pytest.mark.parametrize("name", ["bert-pylate", "modernbert-pylate", "xlmr-jina", "lighton"])
def test_graphs_of_other_writers_are_quantised(name: str, copy_of: Callable[..., Path]) -> None:
    """As torch traced them: projected or not, with bare operators in the place of fused ones."""
    folder = copy_of(name)
    for old in folder.rglob("*int8.onnx"):
        old.unlink()
    texts = [
        f"{word} is a word of a text about the planet Mars"
        for word in ["some", "few", "more", "than", "four"]
    ]
    report = quantize_model(folder, texts=texts)
    assert report.graph.is_file()
    exact, rounded = (ColbertEncoder.from_pretrained(folder, quantized=int8) for int8 in (False, True))
    cosines = [
        np.einsum("ij,ij->i", one, other)
        for one, other in zip(exact.encode_documents(texts), rounded.encode_documents(texts), strict=True)
    ]
    assert np.concatenate(cosines).mean() > 0.99
    assert report.bytes_after < report.bytes_before


def spoil(weights: dict[str, np.ndarray], name: str, place: Any, factor: float) -> None:
    """Multiply a part of one tensor, and leave the network's own alone."""
    weights[name] = weights[name].copy()
    weights[name][place] *= factor


def test_products_of_one_input_are_smoothed_alike() -> None:
    """A traced graph has queries, keys and values apart; the mixed values, between two products, are left as they are."""
    model = onnx.load(GOLDEN / "xlmr-jina" / "onnx" / "model.onnx")
    products = find_products(model)
    of_states = state_products(model, products)
    by_source: dict[str, list[str]] = {}
    for product in products:
        if product.name in of_states:
            by_source.setdefault(product.source, []).append(product.name)
    assert sorted(map(len, by_source.values())) == [1, 1, 3, 3]
    config = ColbertEncoder.from_pretrained(GOLDEN / "xlmr-jina").config
    tokenizer = ColbertTokenizer(GOLDEN / "xlmr-jina" / "tokenizer.json", config)
    texts = tokenizer.documents(["Mars is red", "Venus is hot and bright"])
    smoothing = smoothing_factors(model, products, texts)
    assert smoothing.keys() == of_states | feed_forward(model, products)
    for names in by_source.values():
        first = smoothing[names[0]]
        assert all((smoothing[name] == first).all() for name in names)
    quantised = quantize_graph(model, smoothing=smoothing)
    stored = {tensor.name for tensor in quantised.graph.initializer}
    assert sum(f"{name}.smooth" in stored for name in of_states) == len(by_source)


@given(st.integers(0, 1000), st.integers(1, 40), st.sampled_from([1, 3, 64, 200]))
@settings(deadline=None)
def test_rounding_moves_what_a_product_gives_and_not_its_weights(
    seed: int, tokens: int, at_once: int
) -> None:
    """Over inputs that go together it loses less than rounding to the nearest, whatever is rounded at once."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((tokens, 3)) @ rng.standard_normal((3, 24)) + 0.05 * rng.standard_normal(
        (tokens, 24)
    )
    weight = rng.standard_normal((16, 24)).astype(np.float32)
    with mock.patch.object(rounding, "COLUMNS_AT_ONCE", at_once):
        rows, scale = compensated_rows(weight, inputs.T @ inputs)
    nearest, same_scale = quantize_rows(weight)
    assert rows.dtype == np.int8
    assert np.abs(rows.astype(int)).max() <= 127
    np.testing.assert_array_equal(scale, same_scale)
    lost, lost_to_nearest = (np.linalg.norm(inputs @ (weight - kept * scale).T) for kept in (rows, nearest))
    assert lost < lost_to_nearest


@given(TABLES, st.sampled_from([0.0, 1e-30, 1.0, 1e30]))
def test_inputs_that_do_not_go_together_round_to_the_nearest(table: np.ndarray, power: float) -> None:
    """There is nothing to make up for; inputs that were never anything but 0 are no error."""
    rows, scale = compensated_rows(table, power * np.eye(6))
    _, same_scale = quantize_rows(table)
    np.testing.assert_array_equal(scale, same_scale)
    assert (np.abs(rows - table / scale) < 0.5001).all()


def test_a_written_graph_holds_weights_rounded_for_what_its_products_multiply(
    copy_of: Callable[..., Path],
) -> None:
    """By the definition, from hidden states in numpy: the first product's inputs are the normalised embeddings."""
    folder, network = copy_of("bert-stanford"), tiny_network()
    drawn = np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32)
    graph = network.graph(Projection((Layer(drawn, None, "Identity", residual=False),)))
    save_graph(graph, folder / "model.onnx")
    texts = [f"{word} is a word about Mars and its {word} moons" for word in ("some", "few", "more", "four")]
    report = quantize_model(folder, texts=texts, least_cosine=0.9)
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(report.graph).graph.initializer
    }
    sample = halves(make_sample(texts))[0]
    config = ColbertEncoder.from_pretrained(folder).config
    inputs = np.concatenate(
        [
            embedded(network, read.ids)[read.attention]
            for read in sample.tokens(ColbertTokenizer(folder / "tokenizer.json", config))
        ]
    )
    divisor = stored["layers.0.qkv.smooth"]
    np.testing.assert_allclose(
        1 / divisor, factors(np.abs(inputs).max(axis=0), network.weights["layers.0.qkv.weight"]), rtol=1e-4
    )
    smooth = inputs.astype(np.float64) * divisor
    rows, scale = compensated_rows(network.weights["layers.0.qkv.weight"] / divisor, smooth.T @ smooth)
    written = stored["layers.0.qkv.weight"].T
    assert (written == rows).mean() > 0.995  # but for what lies half-way between two
    assert (written == quantize_rows(network.weights["layers.0.qkv.weight"] / divisor)[0]).mean() < 0.99
    np.testing.assert_allclose(stored["layers.0.qkv.scale"], scale[:, 0], rtol=1e-5)


def embedded(network: BertNetwork, ids: np.ndarray) -> np.ndarray:
    """Return what the first layer reads. *Shape:* ``(tokens, hidden)``"""
    summed = network.weights["words.weight"][ids] + network.weights["positions.weight"][: len(ids)]
    centred = summed - summed.mean(axis=1, keepdims=True)
    even = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + network.epsilon)
    return even * network.weights["norm.weight"] + network.weights["norm.bias"]


def taken_apart(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write every normalisation as tracers of old did: mean, variance, root."""
    nodes = []
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "two"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1e-12), "least"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "last"))
    for node in model.graph.node:
        if node.op_type != "LayerNormalization":
            nodes.append(node)
            continue
        (x, weight, bias), y = node.input, node.output[0]
        parts = [
            ("ReduceMean", [x, "last"], "mean"),
            ("Sub", [x, f"{y}.mean"], "centred"),
            ("Pow", [f"{y}.centred", "two"], "squares"),
            ("ReduceMean", [f"{y}.squares", "last"], "variance"),
            ("Add", [f"{y}.variance", "least"], "safe"),
            ("Sqrt", [f"{y}.safe"], "deviation"),
            ("Div", [f"{y}.centred", f"{y}.deviation"], "even"),
            ("Mul", [f"{y}.even", weight], "scaled"),
        ]
        nodes += [helper.make_node(kind, inputs, [f"{y}.{name}"]) for kind, inputs, name in parts]
        nodes.append(helper.make_node("Add", [f"{y}.scaled", bias], [y]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def test_hidden_states_are_known_by_their_normalisation_in_one_node_or_many() -> None:
    """Old graphs have it in nine nodes; what only went through a product or an activation is no hidden state."""
    whole, apart = tiny_graph(), taken_apart(tiny_graph())
    names = {f"layers.{n}.{part}" for n in (0, 1) for part in ("qkv", "up")}
    assert state_products(whole, find_products(whole)) == names
    assert state_products(apart, find_products(apart)) == names
    alone, _, _ = one_product(18, bias=True)
    assert state_products(alone, find_products(alone)) == set()  # of the graph's input


def test_a_product_of_a_stored_table_is_rounded_to_the_nearest(copy_of: Callable[..., Path]) -> None:
    """Such as projected positions: it has no row a token to look at, and does not keep the others from being looked at."""
    folder, model = copy_of("bert-stanford"), tiny_graph()
    rng = np.random.default_rng(0)
    for name, shape in (("table", (1, 32)), ("projected.weight", (32, 32))):
        value = rng.standard_normal(shape).astype(np.float32) / 30
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    product = helper.make_node("MatMul", ["table", "projected.weight"], ["projected"])
    place = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "l0.states")
    added = helper.make_node("Add", ["l0.normed", "projected"], ["l0.states"])
    model.graph.node[place].output[0] = "l0.normed"
    model.graph.node.insert(place + 1, product)
    model.graph.node.insert(place + 2, added)
    save_graph(model, folder / "model.onnx")
    report = quantize_model(folder)
    assert report.fidelity.cosine_mean > 0.998
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(report.graph).graph.initializer
    }
    assert stored["projected.weight"].dtype == np.int8
    np.testing.assert_array_equal(
        stored["projected.weight"].T, quantize_rows(numpy_helper.to_array(model.graph.initializer[-1]).T)[0]
    )


@pytest.mark.parametrize("name", ["bert-stanford", "xlmr-jina"])
def test_weights_are_the_same_however_many_inputs_are_looked_at_together(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose sums of inputs have no room at one time is read several times; products of one input share its sums."""
    encoder = ColbertEncoder.from_pretrained(GOLDEN / name)
    model = load_graph(encoder.files.onnx)
    tokenizer = ColbertTokenizer(encoder.files.tokenizer, encoder.config)
    texts = tokenizer.documents(["Mars is red", "Venus is hot and bright", "rings of Saturn"])
    products = find_products(model)
    smoothing = smoothing_factors(model, products, texts)
    together = rounded_weights(model, products, texts, smoothing)
    monkeypatch.setattr(rounding, "GRAM_BYTES", 1)
    apart = rounded_weights(model, products, texts, smoothing)
    assert together.keys() == apart.keys() == {product.name for product in products}
    for product, (rows, scale) in together.items():
        np.testing.assert_array_equal(rows, apart[product][0])
        np.testing.assert_array_equal(scale, apart[product][1])


def test_numbers_that_are_none_are_told_before_weights_are_made_of_them(copy_of: Callable[..., Path]) -> None:
    """A graph that overflows is an error, not an INT8 graph of whatever comes out."""
    folder, network = copy_of("bert-stanford"), tiny_network()
    weights = dict(network.weights)
    spoil(weights, "layers.0.up.weight", np.s_[3], np.float32(np.nan))
    save_graph(BertNetwork(weights, network.heads).graph(None), folder / "model.onnx")
    with pytest.raises(EncodingError, match="NaN or infinite"):
        quantize_model(folder)


def test_what_hurts_goes_back_to_full_precision(copy_of: Callable[..., Path]) -> None:
    """One product with an outlier in its weights spoils INT8; that one stays in float32, and the target is met."""
    folder, network = copy_of("bert-stanford"), tiny_network()
    weights = dict(network.weights)
    spoil(weights, "layers.1.attention_out.weight", np.s_[:, 3], 3000)  # it rules every output's scale
    value_3 = (
        2 * len(weights["layers.1.qkv.weight"]) // 3 + 3
    )  # behind queries and keys: what input channel 3 mixes
    for part in ("weight", "bias"):
        spoil(weights, f"layers.1.qkv.{part}", value_3, 1 / 3000)
    head = Layer(
        np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32),
        None,
        "Identity",
        residual=False,
    )
    save_graph(BertNetwork(weights, network.heads).graph(Projection((head,))), folder / "model.onnx")
    report = quantize_model(folder, least_cosine=0.999)
    assert "layers.1.attention_out" in report.kept
    assert len(report.kept) < 8
    assert report.fidelity.cosine_mean >= 0.999
    stored = {tensor.name: tensor for tensor in onnx.load(report.graph).graph.initializer}
    assert numpy_helper.to_array(stored["layers.1.attention_out.weight"]).dtype == np.float32
    assert numpy_helper.to_array(stored["layers.0.up.weight"]).dtype == np.int8


def test_half_precision_and_unused_ids_change_rows_by_rounding_only(tmp_path: Path) -> None:
    """Rows of ids below and above the gap are those of the whole table."""
    model = tiny_graph()
    ids = np.array([4, 5, 30, 99, 140, 200, 380])
    plain = rows_of(quantize_graph(model), tmp_path / "plain.onnx", ids)
    small_graph = quantize_graph(model, half_precision=True, unused_ids=range(100, 140))
    small = rows_of(small_graph, tmp_path / "small.onnx", ids)
    assert np.einsum("ij,ij->i", plain, small).min() > 0.999
    stored = {tensor.name: tensor for tensor in small_graph.graph.initializer}
    assert stored["words"].dims[0] == tiny_network().weights["words.weight"].shape[0] - 40
    assert {numpy_helper.to_array(stored[name]).dtype for name in ("head.weight", "words_scale")} == {
        np.dtype(np.float16)
    }


def test_six_bits_a_number_are_taken_apart_as_they_were_put_together() -> None:
    """Every number from -31 to 31 comes back from each of the four places that it can have."""
    rows = np.stack([np.roll(np.arange(-31, 33), shift) for shift in range(64)]).clip(-31, 31).astype(np.int8)
    assert pack(rows).shape == (64, 48)
    assert np.array_equal(unpack(pack(rows)), rows)


def test_rows_of_six_bits_stay_where_they_are_when_they_are_rounded_again() -> None:
    """So that words that were trained with as they ship are shipped as they were trained with."""
    table = np.random.default_rng(0).standard_normal((50, 96)).astype(np.float32)
    rows, scales = quantize_rows(table, np.float16, largest=31)
    assert np.abs(rows).max() == 31
    again, same_scales = quantize_rows(rows * scales.astype(np.float32), np.float16, largest=31)
    assert np.array_equal(again, rows)
    assert np.array_equal(same_scales, scales)


def test_onnx_takes_six_bits_apart_as_numpy_does(tmp_path: Path) -> None:
    """To the last bit, for every number in every place."""
    rows = np.stack([np.roll(np.arange(-31, 33), shift) for shift in range(64)]).clip(-31, 31).astype(np.int8)
    nodes, constants = unpacking("packed", "numbers")
    graph = helper.make_graph(
        nodes,
        "unpacking",
        [helper.make_tensor_value_info("packed", TensorProto.UINT8, [None, 48])],
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 64])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "unpacking.onnx")
    session = import_onnxruntime().InferenceSession(
        tmp_path / "unpacking.onnx", providers=["CPUExecutionProvider"]
    )
    [numbers] = session.run(None, {"packed": pack(rows)})
    assert np.array_equal(numbers, rows)


def test_six_bits_need_words_that_can_take_them() -> None:
    """Said before the graph is written: another name of the ids, a width of six, operators of version 17."""
    elsewhere, old = graph_of(tiny_network()), graph_of(tiny_network())
    for node in elsewhere.graph.node:
        node.input[:] = ["ids" if name == "input_ids" else name for name in node.input]
    with pytest.raises(ModelFormatError, match="no embedding table that input_ids picks from"):
        quantize_graph(elsewhere, six_bit_words=True)
    for operators in old.opset_import:
        operators.version = 17 if operators.domain in ("", "ai.onnx") else operators.version
    with pytest.raises(
        ModelFormatError, match="version 17, expected a multiple of 4 and at least version 18"
    ):
        quantize_graph(old, six_bit_words=True)


@pytest.mark.parametrize("half", [False, True])
def test_the_graph_reads_words_of_six_bits(tmp_path: Path, *, half: bool) -> None:
    """Its rows are those of a graph that was given the rounded words, but for eight bits' rounding; the table is smaller by a quarter."""
    network, ids = tiny_network(), np.array([4, 5, 30, 99, 140, 200, 380])
    scale_type = np.float16 if half else np.float32
    whole, scales = quantize_rows(network.weights["words.weight"], scale_type, largest=31)
    rounded = replace(network, weights={**network.weights, "words.weight": whole * scales.astype(np.float32)})
    kept = [product.name for product in find_products(graph_of(network))]
    settings = {"half_precision": half, "unused_ids": range(100, 140), "keep": kept}
    packed = quantize_graph(graph_of(network), **settings, six_bit_words=True)
    plain = quantize_graph(graph_of(rounded), **settings)
    found, wanted = (rows_of(model, tmp_path / "model.onnx", ids) for model in (packed, plain))
    assert np.einsum("ij,ij->i", found, wanted).min() > 0.9995
    stored, before = (
        next(tensor for tensor in model.graph.initializer if tensor.name == "words")
        for model in (packed, plain)
    )
    assert 4 * stored.dims[1] == 3 * before.dims[1]
    assert stored.dims[0] == before.dims[0]


def test_quantising_leaves_its_input_alone() -> None:
    """The full-precision graph is the caller's."""
    model = tiny_graph()
    before = model.SerializeToString(deterministic=True)
    quantize_graph(model, half_precision=True, unused_ids=range(10, 20))
    assert model.SerializeToString(deterministic=True) == before


# --- what is refused ------------------------------------------------------------------------------------------------


def test_an_int8_graph_that_is_there_is_kept(copy_of: Callable[..., Path]) -> None:
    """Unless overwriting is asked for, and then it is replaced at once."""
    folder = copy_of("lighton")
    before = (folder / "model_int8.onnx").read_bytes()
    with pytest.raises(InputError, match="overwrite=True"):
        quantize_model(folder)
    assert (folder / "model_int8.onnx").read_bytes() == before
    quantize_model(folder, overwrite=True)
    assert (folder / "model_int8.onnx").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"least_cosine": 1.5}, InputError, "least_cosine"),
        ({"texts": ["one", "two"]}, InputError, "at least 4"),
        ({"texts": "one text"}, InputTypeError, "texts"),
    ],
)
def test_arguments_that_cannot_work_are_named(
    arguments: dict[str, object], error: type[Exception], message: str, copy_of: Callable[..., Path]
) -> None:
    """Before anything is written."""
    folder = copy_of()
    with pytest.raises(error, match=message):
        quantize_model(folder, **arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert [path.name for path in folder.rglob("*.onnx")] == ["model.onnx"]


def test_only_a_local_folder_is_quantised() -> None:
    """Nothing is written into the hub's cache."""
    with pytest.raises(InputError, match="no local folder"):
        quantize_model("answerdotai/answerai-colbert-small-v1")


def test_a_graph_that_is_int8_already_is_refused(copy_of: Callable[..., Path]) -> None:
    """It has no product with full-precision weights left."""
    folder = copy_of("bert-stanford")
    save_graph(quantize_graph(tiny_graph(), keep=()), folder / "model.onnx")
    model = onnx.load(folder / "model.onnx")
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head).astype(np.float16), "head.weight"))
    model.graph.node.append(helper.make_node("Identity", ["input_ids"], ["unused"]))
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(ModelFormatError, match="full-precision graph"):
        quantize_model(folder)
