"""Which models are measured: by name, with settings, or as rerankers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from laterank.cache.memory import MemoryCache
from laterank.errors import InputError
from laterank.long_documents import LongDocumentKind
from laterank.reranker import Reranker

__all__ = ["ModelChoice", "Models", "named_rerankers", "with_empty_cache"]

ModelChoice: TypeAlias = str | PathLike[str] | Reranker
"""``"bundled"``, a hub id, a folder, one of these with settings (``"bundled,truncate_dim=64"``), or a reranker."""
Models: TypeAlias = ModelChoice | Iterable[ModelChoice] | Mapping[str, ModelChoice]
"""One model, several, or several under names of your own."""

CACHE_BYTES = 1 << 30
"""What keeps a collection's candidates while their queries are ranked, so that none is encoded twice: 1 GiB."""

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def named_rerankers(
    models: Models,
    *,
    long_documents: LongDocumentKind = "truncate",
    threads: int | None = None,
    workers: int | None = None,
    local_files_only: bool = False,
) -> dict[str, Reranker]:
    """Return rerankers under the names by which they are reported.

    A reranker is used as it is, with its cache; models that are named keep embeddings in memory while they are measured.

    Args:
        models: Which ones.
        long_documents: What happens to documents that are longer than a model that is named reads.
        threads: Those of each model that is named without a number of its own; None for every usable processor.
        workers: Processes of each model that is named; 0 or None for none.
        local_files_only: Never use the network.

    Raises:
        InputError: If there is none, two have the same name, or a setting is unknown.
        ModelNotFoundError: If there is no such model.
    """
    if isinstance(models, (str, PathLike, Reranker)):
        models = [models]
    if isinstance(models, Mapping):
        named = list(models.items())
    else:
        named = [(_name(model), model) for model in models]
    if not named:
        raise InputError("there is no model; expected at least one, such as 'bundled'")
    shared = {"long_documents": long_documents, "threads": threads, "workers": workers}
    rerankers: dict[str, Reranker] = {}
    for name, model in named:
        if name in rerankers:
            raise InputError(
                f"two models are called {name!r}; pass other settings, or a mapping with names of your own"
            )
        rerankers[name] = (
            model
            if isinstance(model, Reranker)
            else _loaded(model, shared, local_files_only=local_files_only)
        )
    return rerankers


def with_empty_cache(reranker: Reranker) -> Reranker:
    """Return a reranker of the same model and settings that has seen no document."""
    other = copy(reranker)
    other.cache = MemoryCache(CACHE_BYTES)
    return other


def _name(model: ModelChoice) -> str:
    if isinstance(model, Reranker):
        return model.name
    name, comma, settings = _parted(model)
    return f"{Path(name).resolve().name if Path(name).is_dir() else name}{comma}{settings}"


def _parted(model: str | PathLike[str]) -> tuple[str, str, str]:
    """Part a name from its settings; a folder may have a comma in its name."""
    if not isinstance(model, str) or Path(model).is_dir():
        return str(model), "", ""
    return model.partition(",")


def _loaded(model: str | PathLike[str], shared: Mapping[str, Any], *, local_files_only: bool) -> Reranker:
    name, _, settings = _parted(model)
    options = {**shared, **(_options(settings, of=str(model)) if settings else {})}
    cache = MemoryCache(CACHE_BYTES)
    return Reranker.from_pretrained(name, cache=cache, local_files_only=local_files_only, **options)


def _options(settings: str, *, of: str) -> dict[str, Any]:
    """Read ``truncate_dim=64,quantized=false``."""
    readers: dict[str, Callable[[str], Any]] = {
        "truncate_dim": int,
        "pool_factor": int,
        "quantized": lambda text: TRUTH[text.lower()],
        "onnx_file": str,
        "revision": str,
        "threads": int,
        "long_documents": str,
    }
    options = {}
    for setting in settings.split(","):
        name, _, value = setting.partition("=")
        try:
            options[name.strip()] = readers[name.strip()](value.strip())
        except (KeyError, ValueError) as error:
            expected = (
                "truncate_dim=NUMBER, pool_factor=NUMBER, quantized=true|false, onnx_file=PATH, revision=NAME, "
                "threads=NUMBER, long_documents=truncate|windows|error"
            )
            raise InputError(
                f"model {of!r} has the setting {setting!r}; expected one of {expected}"
            ) from error
    return options
