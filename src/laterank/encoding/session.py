"""A model's graph in onnxruntime: token ids in, hidden states out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from laterank.errors import EncodingError, InputError, ModelFormatError, ProviderError
from laterank.forking import renew_after_fork
from laterank.runtime import how_to_install, import_onnxruntime

__all__ = ["OnnxSession", "Provider", "available_providers", "check_providers", "full_name"]

logger = logging.getLogger(__name__)

Provider = str | tuple[str, Mapping[str, Any]]
"""An execution provider: ``"cpu"``, ``"cuda"``, any full name, or a name with its options."""

SHORT_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
PREFERRED_OUTPUTS = ("token_embeddings", "contextual", "last_hidden_state", "embeddings", "output")


def full_name(provider: str) -> str:
    """Return onnxruntime's name of an execution provider that may have been given by a short one."""
    return SHORT_NAMES.get(provider.lower(), provider)


def available_providers() -> tuple[str, ...]:
    """Return the execution providers that this onnxruntime was built with.

    Raises:
        ProviderError: If onnxruntime is missing or broken.
    """
    return tuple(import_onnxruntime().get_available_providers())


def check_providers(providers: Sequence[Provider] | None) -> tuple[Provider, ...]:
    """Return the providers if they are any; the CPU for None.

    Raises:
        InputError: If there are none, or one is neither a name nor a name with options.
    """
    if providers is None:
        return ("cpu",)
    given = (
        tuple(providers)
        if isinstance(providers, Sequence) and not isinstance(providers, str)
        else (providers,)
    )
    for provider in given or (None,):
        name = provider[0] if isinstance(provider, tuple) and len(provider) == 2 else provider
        if not isinstance(name, str):
            raise InputError(
                f'providers is {providers!r}, expected names such as ["cuda"], or (name, options)'
            )
    return given


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A session with what was read off it once."""

    session: Any
    inputs: tuple[tuple[str, str], ...]
    output: str
    output_size: int | None


class OnnxSession:
    """One graph, loaded at its first use, shared by threads, loaded anew in a forked process.

    ``run`` may be called from many threads at once: onnxruntime releases the interpreter's lock and a run keeps no state
    in the session.
    """

    def __init__(
        self,
        path: Path,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int = 1,
        output: str | None = None,
        on_load: Callable[[], None] | None = None,
    ) -> None:
        """Remember what to load.

        Args:
            path: The ``.onnx`` file.
            providers: Execution providers in order of preference; None for the CPU.
            threads: Threads of one run.
            output: The output with the rows; None for the one that is known by its name or the only one.
            on_load: What is called after the file was read; an exception leaves it as good as unread.
        """
        self._path = path
        self._providers = check_providers(providers)
        self._threads = threads
        self._output = output
        self._on_load = on_load
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    @property
    def runs_on_cpu(self) -> bool:
        """Whether the CPU does the work, so that small batches on several threads pay."""
        return all(name == SHORT_NAMES["cpu"] for name, _ in self._wanted_providers())

    @property
    def output_size(self) -> int | None:
        """The last dimension of the output, where the graph declares it."""
        return self._ready().output_size

    def run(self, ids: NDArray[np.int64], attention: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Run the network.

        Args:
            ids: *Shape:* ``(batch, tokens)``
            attention: *Shape:* ``(batch, tokens)``

        Returns:
            Hidden states, or token embeddings where the graph is projected. *Shape:* ``(batch, tokens, size)``

        Raises:
            ProviderError: If onnxruntime or a provider is missing.
            ModelFormatError: If the graph is broken or of an unknown kind.
            EncodingError: If the run fails.
        """
        loaded = self._ready()
        feed = {name: _input(name, kind, ids, attention) for name, kind in loaded.inputs}
        try:
            (states,) = loaded.session.run([loaded.output], feed)
        except Exception as error:  # onnxruntime's own exceptions share no narrower base
            raise EncodingError(f"{self._path} failed on a batch of shape {ids.shape}: {error}") from error
        if states.ndim != 3 or states.shape[:2] != ids.shape:
            raise ModelFormatError(
                f'{self._path}: output "{loaded.output}" has shape {states.shape}, expected {(*ids.shape, "size")}'
            )
        return np.asarray(states, dtype=np.float32)

    def renew(self) -> None:
        """Forget the session in a forked process: its threads are the parent's."""
        if self._loaded is not None:
            _ABANDONED.append(self._loaded)
        self._loaded = None
        self._lock = threading.Lock()

    def _ready(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None:
            return loaded
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> _Loaded:
        onnxruntime = import_onnxruntime()
        if not self._path.is_file():
            raise ModelFormatError(f"{self._path} is missing; download or copy the model again")
        providers = self._available_providers(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads that spin cost four times the processor time of the work itself.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(self._path, options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no narrower base
            raise ModelFormatError(
                f"{self._path} cannot be loaded by onnxruntime {onnxruntime.__version__}: {error}"
            ) from error
        if self._on_load is not None:
            self._on_load()
        self._refuse_fallback(session.get_providers())
        name, size = _choose_output(self._path, session.get_outputs(), self._output)
        return _Loaded(session, _known_inputs(self._path, session.get_inputs()), name, size)

    def _wanted_providers(self) -> list[tuple[str, Mapping[str, Any]]]:
        wanted: list[tuple[str, Mapping[str, Any]]] = []
        for provider in self._providers:
            name, options = provider if isinstance(provider, tuple) else (provider, {})
            wanted.append((full_name(name), options))
        return wanted

    def _available_providers(self, onnxruntime: Any) -> list[tuple[str, dict[str, Any]]]:
        wanted = [(name, dict(options)) for name, options in self._wanted_providers()]
        available = onnxruntime.get_available_providers()
        missing = [name for name, _ in wanted if name not in available]
        if missing:
            raise ProviderError(
                f"onnxruntime {onnxruntime.__version__} has no {', '.join(missing)}, only {', '.join(available)}; "
                + how_to_install()
            )
        return wanted

    def _refuse_fallback(self, came_up: Sequence[str]) -> None:
        """Raise where onnxruntime quietly went on without a provider that was asked for."""
        missing = [name for name, _ in self._wanted_providers() if name not in came_up]
        if missing:
            raise ProviderError(
                f"{', '.join(missing)} was asked for and did not come up (onnxruntime fell back to {', '.join(came_up)}); "
                "check the driver and the CUDA and cuDNN versions that this onnxruntime needs, or pass providers=None"
            )


_ABANDONED: list[_Loaded] = []
"""Sessions inherited over a fork: ending one would wait for threads that only the parent has."""


def _known_inputs(path: Path, inputs: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    unknown = [node.name for node in inputs if node.name not in KNOWN_INPUTS]
    if unknown:
        raise ModelFormatError(
            f"{path} has the inputs {', '.join(unknown)}, expected only {', '.join(KNOWN_INPUTS)}"
        )
    wrong = [
        f"{node.name}: {node.type}" for node in inputs if node.type not in ("tensor(int64)", "tensor(int32)")
    ]
    if wrong:
        raise ModelFormatError(f"{path} has inputs of types that are not int64 or int32: {', '.join(wrong)}")
    return tuple((node.name, node.type) for node in inputs)


def _choose_output(path: Path, outputs: Sequence[Any], wanted: str | None) -> tuple[str, int | None]:
    """Choose the output with one row a token, and its size where the graph declares it."""
    by_token = {node.name: node for node in outputs if len(node.shape or ()) == 3 and "float" in node.type}
    shapes = ", ".join(f"{node.name} {node.shape}" for node in outputs)
    if not by_token:
        raise ModelFormatError(
            f"{path} has no output of shape (batch, tokens, size), only {shapes}: it is no token encoder"
        )
    known = [name for name in (PREFERRED_OUTPUTS if wanted is None else (wanted,)) if name in by_token]
    if not known and (wanted is not None or len(by_token) > 1):
        asked = (
            f"no output {wanted!r}"
            if wanted
            else "several outputs with a row a token and none of a known name"
        )
        raise ModelFormatError(f'{path} has {asked}: {shapes}; pass config={{"output": "..."}}')
    name = known[0] if known else next(iter(by_token))
    size = by_token[name].shape[2]
    return name, size if isinstance(size, int) else None


def _input(name: str, kind: str, ids: NDArray[np.int64], attention: NDArray[np.bool_]) -> NDArray[Any]:
    dtype = np.int64 if kind == "tensor(int64)" else np.int32
    if name == "input_ids":
        return ids.astype(dtype, copy=False)
    if name == "attention_mask":
        return attention.astype(dtype)
    if name == "token_type_ids":
        return np.zeros(ids.shape, dtype=dtype)
    return np.tile(np.arange(ids.shape[1], dtype=dtype), (len(ids), 1))
