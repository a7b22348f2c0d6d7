"""Variants of the tiny graphs, made with the onnx package: other inputs, other outputs, broken numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def with_int32_inputs(path: Path) -> None:
    """Make the graph take int32, as some exporters write it."""
    model = onnx.load(path)
    for graph_input in list(model.graph.input):
        name = graph_input.name
        graph_input.type.tensor_type.elem_type = TensorProto.INT32
        _rename_uses(model, name, f"{name}_int64")
        model.graph.node.insert(0, helper.make_node("Cast", [name], [f"{name}_int64"], to=TensorProto.INT64))
    onnx.save(model, path)


def with_float16_output(path: Path) -> None:
    """Make the graph give float16."""
    _append(
        path,
        lambda name: helper.make_node("Cast", [name], ["half"], to=TensorProto.FLOAT16),
        "half",
        TensorProto.FLOAT16,
    )


def with_nan_output(path: Path) -> None:
    """Make the graph give NaN everywhere, as an overflowing float16 network does."""
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array(np.nan, dtype=np.float32), "nan"))
    onnx.save(model, path)
    _append(
        path, lambda name: helper.make_node("Mul", [name, "nan"], ["spoilt"]), "spoilt", TensorProto.FLOAT
    )


def with_zero_output(path: Path) -> None:
    """Make the graph give nothing but zeros."""
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.float32), "nothing"))
    onnx.save(model, path)
    _append(
        path, lambda name: helper.make_node("Mul", [name, "nothing"], ["empty"]), "empty", TensorProto.FLOAT
    )


def with_rows_relative_to_the_batch(path: Path) -> None:
    """Make a text's rows depend on what is beside it, as quantisation over the whole batch does."""
    model = onnx.load(path)
    output = model.graph.output[0].name
    node = helper.make_node("ReduceMax", [output], ["largest"], keepdims=1)
    if model.opset_import[0].version >= 18:
        model.graph.initializer.append(numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "both_axes"))
        node.input.append("both_axes")
    else:
        node.attribute.append(helper.make_attribute("axes", [0, 1]))
    model.graph.node.append(node)
    onnx.save(model, path)
    _append(
        path,
        lambda name: helper.make_node("Sub", [name, "largest"], ["relative"]),
        "relative",
        TensorProto.FLOAT,
    )


def with_attention_mask_ignored(path: Path) -> None:
    """Make the graph attend to everything, whatever its attention mask says."""
    model = onnx.load(path)
    _rename_uses(model, "attention_mask", "all_attended")
    zero = numpy_helper.from_array(np.array(0, dtype=np.int64), "zero_attention")
    one = numpy_helper.from_array(np.array(1, dtype=np.int64), "one_attention")
    model.graph.initializer.extend([zero, one])
    nodes = [
        helper.make_node("Mul", ["attention_mask", "zero_attention"], ["no_attention"]),
        helper.make_node("Add", ["no_attention", "one_attention"], ["all_attended"]),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    onnx.save(model, path)


def with_another_input(path: Path, name: str) -> None:
    """Make the graph ask for an input that is no token input."""
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    onnx.save(model, path)


def with_pooled_output_only(path: Path) -> None:
    """Make the graph end like a dense embedding model: one vector a text."""
    model = onnx.load(path)
    output = model.graph.output[0]
    node = helper.make_node("ReduceMax", [output.name], ["pooled"], keepdims=0)
    node.attribute.append(helper.make_attribute("axes", [1]))
    if model.opset_import[0].version >= 18:
        del node.attribute[-1]
        model.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "pool_axes"))
        node.input.append("pool_axes")
    model.graph.node.append(node)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", "size"]))
    onnx.save(model, path)


def with_external_data(path: Path) -> None:
    """Move the weights to a file beside the graph, as graphs of over 2 GB have them."""
    model = onnx.load(path)
    onnx.save(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{path.name}_data",
        size_threshold=0,
    )


def with_outputs_renamed(path: Path, *, rows: str, other: str) -> None:
    """Give the rows another name, and put an output of one number a token before them."""
    model = onnx.load(path)
    output = model.graph.output[-1]
    shape = [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
    model.graph.node.append(helper.make_node("Identity", [output.name], [rows]))
    starts = numpy_helper.from_array(np.array([0], dtype=np.int64), f"{rows}_start")
    ends = numpy_helper.from_array(np.array([1], dtype=np.int64), f"{rows}_end")
    axes = numpy_helper.from_array(np.array([2], dtype=np.int64), f"{rows}_axes")
    model.graph.initializer.extend([starts, ends, axes])
    other_name = f"{other}_of_{rows}"
    model.graph.node.append(
        helper.make_node("Slice", [output.name, starts.name, ends.name, axes.name], [other_name])
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(other_name, TensorProto.FLOAT, [*shape[:2], 1]))
    model.graph.output.append(helper.make_tensor_value_info(rows, TensorProto.FLOAT, shape))
    onnx.save(model, path)


def with_position_ids_added_to_the_output(path: Path) -> None:
    """Make position_ids an input whose effect can be seen: each row is raised by its position."""
    model = onnx.load(path)
    model.graph.input.append(
        helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["batch", "sequence"])
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([2], dtype=np.int64), "last_axis"))
    model.graph.node.append(helper.make_node("Cast", ["position_ids"], ["as_float"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Unsqueeze", ["as_float", "last_axis"], ["as_rows"]))
    onnx.save(model, path)
    _append(
        path, lambda name: helper.make_node("Add", [name, "as_rows"], ["raised"]), "raised", TensorProto.FLOAT
    )


def _append(path: Path, make_node: object, name: str, kind: int) -> None:
    model = onnx.load(path)
    output = model.graph.output[0]
    model.graph.node.append(make_node(output.name))  # type: ignore[operator]
    shape = [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    onnx.save(model, path)


def _rename_uses(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new
