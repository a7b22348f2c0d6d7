"""Trained ColBERT checkpoints to ONNX graphs, full precision and INT8: needs ``pip install "laterank[export]"``."""

from __future__ import annotations

try:
    import onnx  # noqa: F401  # asked for here, so that the message comes before any other import fails
except ImportError as error:
    raise ImportError(
        'exporting and quantising need the onnx package, which is not installed: pip install "laterank[export]"'
    ) from error

from laterank.export.export import ExportReport, export_model
from laterank.export.parity import Fidelity
from laterank.export.quantize import QuantizeReport, quantize_model

__all__ = ["ExportReport", "Fidelity", "QuantizeReport", "export_model", "quantize_model"]
