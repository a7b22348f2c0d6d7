"""Networks that laterank does not write by itself, through torch: loaded by transformers, traced by torch.onnx."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from laterank.encoding.projection import Projection
from laterank.errors import ModelFormatError
from laterank.export.graph import INPUTS, Floats, GraphWriter
from laterank.export.network import ARCHITECTURES, Network

__all__ = ["load_torch_network"]

OPERATORS = 17


def load_torch_network(folder: Path, architecture: str) -> Network:
    """Load a network with transformers; code that lies beside its weights is never run.

    Raises:
        ModelFormatError: If torch or transformers is not installed, or transformers cannot load the model.
    """
    try:
        import torch
        from transformers import AutoModel
    except ImportError as error:
        raise ModelFormatError(
            f"{folder} is a {architecture}; laterank writes {', '.join(ARCHITECTURES)} by itself, and others with torch and "
            'transformers, which are not installed: pip install "laterank[export-torch]"'
        ) from error
    try:
        model = AutoModel.from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float32, trust_remote_code=False
        )
    except Exception as error:  # transformers raises whatever its parts raise
        raise ModelFormatError(f"transformers cannot load {folder} (a {architecture}): {error}") from error
    return _TorchNetwork(model.eval())


class _TorchNetwork:
    """A model of transformers behind the protocol of the networks that laterank writes."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def hidden(self) -> int:
        """Numbers in a hidden state."""
        return int(self._model.config.hidden_size)

    def graph(self, projection: Projection | None) -> onnx.ModelProto:
        """Trace the network; the projection and the scaling to unit length are added as for all others."""
        import torch

        class States(torch.nn.Module):  # type: ignore[misc]  # torch is optional: untyped where it is missing
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: Any, attention: Any) -> Any:
                return self.model(input_ids=ids, attention_mask=attention).last_hidden_state

        ids = torch.arange(1, 9).reshape(1, 8)
        written = io.BytesIO()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer's, about shapes that parity checks anyway
            torch.onnx.export(
                States(self._model).eval(),
                (ids, torch.ones_like(ids)),
                written,
                dynamo=False,
                opset_version=OPERATORS,
                input_names=list(INPUTS),
                output_names=["states"],
                dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*INPUTS, "states")},
            )
        traced = onnx.load_from_string(written.getvalue())
        writer = GraphWriter()
        writer.nodes += traced.graph.node
        writer.initializers += traced.graph.initializer
        writer.head("states", projection.layers if projection else ())
        model = writer.model(projection.out_features if projection else self.hidden)
        for operators in model.opset_import:
            operators.version = OPERATORS if not operators.domain else operators.version
        return model

    def states(self, ids: NDArray[np.int64], attention: NDArray[np.bool_]) -> Floats:
        """Compute one text's hidden states with torch. *Shape:* ``(tokens,)`` twice -> ``(tokens, hidden)``"""
        import torch

        with torch.no_grad():
            output = self._model(
                input_ids=torch.from_numpy(ids)[None],
                attention_mask=torch.from_numpy(attention.astype(np.int64))[None],
            )
        states: Floats = output.last_hidden_state[0].numpy()
        return states
