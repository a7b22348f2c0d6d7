"""What goes into a graph's products while it reads texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper

from laterank.cpus import usable_cpus
from laterank.encoding.session import OnnxSession
from laterank.encoding.tokenization import Tokens
from laterank.errors import EncodingError, ModelFormatError
from laterank.export.graph import Floats
from laterank.export.products import Product
from laterank.export.saving import save_graph

__all__ = ["observable", "observed_inputs"]

OBSERVED = "product_inputs"


def observable(model: onnx.ModelProto, products: Sequence[Product], text: Tokens) -> list[Product]:
    """Return the products whose inputs are one row a token, which those of stored tables, such as relative positions, are not.

    Args:
        model: A full-precision graph.
        products: Some of its products.
        text: Any text, tokenised.
    """
    if _are_rows(model, products, text):
        return list(products)
    return [product for product in products if _are_rows(model, [product], text)]


def observed_inputs(
    model: onnx.ModelProto, products: Sequence[Product], texts: Iterable[Tokens]
) -> Iterator[dict[str, Floats]]:
    """Yield, text by text, what products multiply, by the name of their input.

    Args:
        model: A full-precision graph.
        products: Its products whose inputs are one row a token.
        texts: What to look at, tokenised.

    Yields:
        *Shape:* ``(tokens, inputs)`` each
    """
    sizes = {product.source: product.inputs for product in products}
    ends = np.cumsum(list(sizes.values()))[:-1]
    with _observing(model, sizes) as session:
        for text in texts:
            [inputs] = session.run(text.ids[None], text.attention[None])
            yield dict(zip(sizes, np.split(inputs[text.attention], ends, axis=1), strict=True))


def _are_rows(model: onnx.ModelProto, products: Sequence[Product], text: Tokens) -> bool:
    try:
        list(observed_inputs(model, products, [text]))
    except (EncodingError, ModelFormatError):  # they cannot stand side by side, or are of other shapes
        return False
    return True


@contextmanager
def _observing(model: onnx.ModelProto, sizes: Mapping[str, int]) -> Iterator[OnnxSession]:
    """Load the graph with one more output: the named tensors side by side."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.node.append(helper.make_node("Concat", list(sizes), [OBSERVED], axis=-1))
    shape = ["batch", "tokens", sum(sizes.values())]
    observed.graph.output.append(helper.make_tensor_value_info(OBSERVED, TensorProto.FLOAT, shape))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "observed.onnx"
        save_graph(observed, path)
        yield OnnxSession(path, output=OBSERVED, threads=usable_cpus())
