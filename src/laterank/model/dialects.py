"""The four ways in which ColBERT models keep their settings on disk, each read into the names of ``ColbertConfig``."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laterank.errors import ModelFormatError
from laterank.model.json_files import read_json

__all__ = ["DIALECTS", "Dialect", "Settings"]

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One layout: the file by which it is known, and how its settings are read."""

    name: str
    file: str
    speaks: Callable[[Path], bool]
    read: Callable[[Path], Settings]


def _take(raw: Mapping[str, Any], names: Mapping[str, str]) -> Settings:
    """Pick the settings that a file does give, under our names."""
    return {ours: raw[theirs] for theirs, ours in names.items() if raw.get(theirs) is not None}


def _flag(raw: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = default if raw.get(name) is None else raw[name]
    if not isinstance(value, bool):
        raise TypeError(f'"{name}" is {value!r}, expected true or false')
    return value


def _object(raw: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Return a setting that must be a JSON object; an absent one is empty."""
    value = raw.get(name) or {}
    if not isinstance(value, dict):
        raise ModelFormatError(
            f'{path}: "{name}" is {value!r}, expected an object; correct the file or pass config='
        )
    return value


# --- PyLate -----------------------------------------------------------------------------------------------------------

_SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"


def _is_pylate(folder: Path) -> bool:
    raw = read_json(folder / _SENTENCE_TRANSFORMERS)
    return "query_prefix" in raw or "document_prefix" in raw


def _read_pylate(folder: Path) -> Settings:
    raw = read_json(folder / _SENTENCE_TRANSFORMERS)
    settings = _take(
        raw,
        {
            "query_length": "query_length",
            "document_length": "document_length",
            "attend_to_expansion_tokens": "attend_to_expansion_tokens",
            "skiplist_words": "skiplist_words",
            "matryoshka_dims": "matryoshka_dims",
        },
    )
    for name in ("query_prefix", "document_prefix"):
        if name in raw:
            settings[name] = raw[name] or None  # PyLate's "" means no marker
    # An absent key means yes: PyLate always expanded before it had the key.
    settings["query_expansion"] = "fixed" if _flag(raw, "do_query_expansion", default=True) else "none"
    if settings["query_expansion"] == "none":
        settings["attend_to_expansion_tokens"] = False
    prompts = _object(raw, "prompts", folder / _SENTENCE_TRANSFORMERS)
    settings["query_prompt"] = (prompts.get("query") or "").removeprefix(settings.get("query_prefix") or "")
    settings["document_prompt"] = (prompts.get("document") or "").removeprefix(
        settings.get("document_prefix") or ""
    )
    settings["do_lower_case"] = _lower_cases(folder)
    settings["skiplist_match"] = "token"
    settings["strip_text"] = True
    return settings


def _lower_cases(folder: Path) -> bool:
    path = folder / "sentence_bert_config.json"
    return bool(read_json(path).get("do_lower_case")) if path.is_file() else False


# --- sentence-transformers 6 MultiVectorEncoder -----------------------------------------------------------------------


def _is_multi_vector_encoder(folder: Path) -> bool:
    raw = read_json(folder / _SENTENCE_TRANSFORMERS)
    return not _is_pylate(folder) and (
        raw.get("model_type") == "MultiVectorEncoder" or bool(_mask_config(folder))
    )


def _mask_config(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*_MultiVectorMask/config.json"))), None)


def _read_multi_vector_encoder(folder: Path) -> Settings:
    settings_file = folder / _SENTENCE_TRANSFORMERS
    raw = read_json(settings_file)
    prompts = _object(raw, "prompts", settings_file)
    transformer_file = folder / "sentence_bert_config.json"
    transformer = read_json(transformer_file) if transformer_file.is_file() else {}
    added_tokens = _added_tokens(folder)
    settings = _take(raw, {"matryoshka_dims": "matryoshka_dims"})
    settings["do_lower_case"] = bool(transformer.get("do_lower_case"))
    settings["query_prefix"], settings["query_prompt"] = _split_marker(
        prompts.get("query") or "", added_tokens
    )
    settings["document_prefix"], settings["document_prompt"] = _split_marker(
        prompts.get("document") or "", added_tokens
    )
    limit = transformer.get("max_seq_length") or _tokenizer_limit(folder)
    settings |= _take(
        {"document_length": transformer.get("document_length") or limit},
        {"document_length": "document_length"},
    )
    expansion = _object(transformer, "query_expansion", transformer_file)
    if not expansion:
        settings["query_expansion"] = "none"
        settings |= _take(
            {"query_length": transformer.get("query_length") or limit}, {"query_length": "query_length"}
        )
    else:
        settings |= _take(expansion, {"strategy": "query_expansion", "attend": "attend_to_expansion_tokens"})
        settings |= _take(expansion, {"length": "query_length", "token": "expansion_token"})
        settings |= _take({"most": transformer.get("query_length") or limit}, {"most": "max_query_length"})
    return settings | _read_mask(folder)


def _read_mask(folder: Path) -> Settings:
    path = _mask_config(folder)
    raw = read_json(path) if path else {}
    tasks = ["document"] if raw.get("skiplist_tasks") is None else raw["skiplist_tasks"]
    return {
        "skiplist_words": raw.get("skiplist_words") or [],
        "skip_query": "query" in tasks,
        "skip_document": "document" in tasks,
        "skiplist_match": "token",
        "keep_only_token_ids": raw.get("keep_only_token_ids") or None,
    }


def _added_tokens(folder: Path) -> list[str]:
    raw = read_json(folder / "tokenizer.json")
    return sorted((token["content"] for token in raw.get("added_tokens") or []), key=len, reverse=True)


def _split_marker(prompt: str, added_tokens: list[str]) -> tuple[str | None, str]:
    """Split the marker token off a prompt: this dialect writes both as one text."""
    marker = next((token for token in added_tokens if prompt.startswith(token)), None)
    return marker, prompt[len(marker or "") :]


def _tokenizer_limit(folder: Path) -> int | None:
    path = folder / "tokenizer_config.json"
    limit = read_json(path).get("model_max_length") if path.is_file() else None
    return (
        limit if isinstance(limit, int) and limit < 1_000_000 else None
    )  # transformers writes 1e30 for "none"


# --- LightOn / next-plaid ---------------------------------------------------------------------------------------------


def _read_lighton(folder: Path) -> Settings:
    raw = read_json(folder / "onnx_config.json")
    names = (
        "query_prefix",
        "document_prefix",
        "query_prefix_id",
        "document_prefix_id",
        "query_length",
        "document_length",
        "attend_to_expansion_tokens",
        "skiplist_words",
        "do_lower_case",
    )
    settings = _take(raw, {name: name for name in names})
    settings |= _take(raw, {"embedding_dim": "embedding_size", "mask_token_id": "expansion_token_id"})
    for name in ("query_prefix", "document_prefix"):
        if name in raw:
            settings[name] = raw[name] or None
    if "do_query_expansion" not in raw:
        raise ModelFormatError(
            f'{folder / "onnx_config.json"} lacks "do_query_expansion"; pass config={{"query_expansion": "fixed" or "none"}}'
        )
    settings["query_expansion"] = "fixed" if _flag(raw, "do_query_expansion") else "none"
    settings["skiplist_match"] = "token"
    return settings


# --- Stanford (colbert-ai) --------------------------------------------------------------------------------------------


def _read_stanford(folder: Path) -> Settings:
    raw = read_json(folder / "artifact.metadata")
    settings = _take(
        raw,
        {
            "query_token_id": "query_prefix",
            "doc_token_id": "document_prefix",
            "query_maxlen": "query_length",
            "doc_maxlen": "document_length",
            "attend_to_mask_tokens": "attend_to_expansion_tokens",
            "dim": "embedding_size",
        },
    )
    settings["skiplist_words"] = list(string.punctuation) if raw.get("mask_punctuation", True) else []
    settings["skiplist_match"] = "first_piece"
    settings["query_expansion"] = "fixed"  # colbert-ai has no other way
    return settings


DIALECTS: tuple[Dialect, ...] = (
    Dialect("PyLate", _SENTENCE_TRANSFORMERS, _is_pylate, _read_pylate),
    Dialect(
        "sentence-transformers MultiVectorEncoder",
        _SENTENCE_TRANSFORMERS,
        _is_multi_vector_encoder,
        _read_multi_vector_encoder,
    ),
    Dialect("LightOn", "onnx_config.json", lambda folder: True, _read_lighton),
    Dialect("Stanford", "artifact.metadata", lambda folder: True, _read_stanford),
)
