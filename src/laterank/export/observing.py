"""What goes into a graph's products while it reads texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper

from laterank.encoding.session import OnnxSession
from laterank.encoding.tokenization import Tokens
from laterank.errors import EncodingError, ModelFormatError
from laterank.export.graph import Floats
from laterank.export.products import Product
from laterank.export.saving import save_graph
from laterank.runtime import usable_cpus

__all__ = ["observed_inputs"]

OBSERVED = "product_inputs"


def observed_inputs(
    model: onnx.ModelProto, products: Sequence[Product], texts: Iterable[Tokens]
) -> Iterator[dict[str, Floats]]:
    """Yield, text by text, what products multiply, by the name of their input. *Shape:* ``(tokens, inputs)`` each

    Raises:
        ModelFormatError: If the inputs of a product are not one row a token.
    """
    sizes = {product.source: product.inputs for product in products}
    ends = np.cumsum(list(sizes.values()))[:-1]
    with _observing(model, sizes) as session:
        for text in texts:
            try:
                [inputs] = session.run(text.ids[None], text.attention[None])
            except (EncodingError, ModelFormatError) as error:
                raise ModelFormatError(
                    f"the inputs of {', '.join(product.name for product in products[:2])} ... are not one row a token, "
                    "which quantising needs; write the graph from the model's weights with laterank export"
                ) from error
            yield dict(zip(sizes, np.split(inputs[text.attention], ends, axis=1), strict=True))


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
