"""The graphs of MaxSim in onnxruntime: loaded at their first use, once a process, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from laterank.forking import renew_after_fork
from laterank.runtime import import_onnxruntime

__all__ = ["run"]


class _Sessions:
    """Sessions by their graph's bytes. A run has one thread and keeps no state, so threads run side by side."""

    def __init__(self) -> None:
        self._abandoned: list[dict[bytes, Any]] = []
        self._loaded: dict[bytes, Any] = {}
        self._lock = threading.Lock()
        renew_after_fork(self)

    def renew(self) -> None:
        """Load anew in a forked process, and leave the parent's sessions as they are."""
        self._abandoned.append(self._loaded)
        self._loaded = {}
        self._lock = threading.Lock()

    def get(self, graph: bytes) -> Any:
        """Return the session of a graph, loaded at the first time it is asked for."""
        session = self._loaded.get(graph)
        if session is not None:
            return session
        with self._lock:
            if graph not in self._loaded:
                self._loaded[graph] = _load(graph)
            return self._loaded[graph]


def _load(graph: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


_SESSIONS = _Sessions()


def run(graph: bytes, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a graph and return its outputs.

    Raises:
        ProviderError: If onnxruntime is missing.
    """
    outputs: list[NDArray[Any]] = _SESSIONS.get(graph).run(None, feed)
    return outputs
