"""onnxruntime, imported when it is first needed and without its telemetry."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from laterank.errors import ProviderError

__all__ = ["how_to_install", "import_onnxruntime"]


def import_onnxruntime() -> Any:
    """Return the module, imported at its first use.

    Raises:
        ProviderError: If it is missing or broken.
    """
    try:
        with _without_telemetry():
            import onnxruntime
    except ImportError as error:
        raise ProviderError(f"onnxruntime cannot be imported ({error}); {how_to_install()}") from error
    if not hasattr(onnxruntime, "InferenceSession"):  # what an uninstall of one of two builds leaves behind
        raise ProviderError(f"onnxruntime is installed in part; {how_to_install()}")
    return onnxruntime


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Keep onnxruntime from starting its telemetry: its thread hangs a forked child at exit, and nothing may call home."""
    name = "ORT_DISABLE_TELEMETRY"  # read while it is imported, so the environment is as it was right after
    if name in os.environ or "onnxruntime" in sys.modules:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)  # another thread may have been here, too


def how_to_install() -> str:
    """Say how to get a working onnxruntime, knowing that its builds overwrite each other's files."""
    builds = [
        name
        for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
        if _installed(name)
    ]
    if len(builds) > 1:
        return f"{' and '.join(builds)} are both installed and overwrite each other: uninstall all of them, then install one"
    return (
        'install one build: "pip install onnxruntime" for the CPU, or '
        '"pip uninstall -y onnxruntime && pip install onnxruntime-gpu" for CUDA'
    )


def _installed(distribution: str) -> bool:
    from importlib import metadata  # slow to import, and needed for error messages only

    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
