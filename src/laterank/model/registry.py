"""Models that people use, as data: where their weights lie, their licence, and what their files get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from laterank.errors import InputError
from laterank.model.config import check_settings

__all__ = ["KnownModel", "known_model", "known_models", "register_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """What is known of a model beyond its files.

    Attributes:
        name: The hub's id, or the name of a local folder.
        licence: SPDX identifier, or words where there is none.
        commercial_use: Whether the licence allows it; if not, the log says so once.
        embedding_size: Numbers in a token embedding.
        parameters_millions: The network's size.
        languages: What it was trained for.
        onnx_file: The full-precision graph; None where the repository has none that is known.
        quantized_file: The INT8 graph; None where the repository has none that is known.
        settings: Settings that the files lack or get wrong, under the names of ``ColbertConfig``.
        note: What a user should know before choosing it.
    """

    name: str
    licence: str
    commercial_use: bool = True
    embedding_size: int
    parameters_millions: int
    languages: str = "English"
    onnx_file: str | None = None
    quantized_file: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def all_settings(self) -> dict[str, Any]:
        """Return the settings, the embedding's size among them."""
        return {"embedding_size": self.embedding_size, **self.settings}


def known_model(name: str) -> KnownModel | None:
    """Return what is known of a model, or None."""
    return _KNOWN.get(name.lower())


def known_models() -> tuple[KnownModel, ...]:
    """Return every model that is known, registered ones last."""
    return tuple(_KNOWN.values())


def register_model(model: KnownModel) -> None:
    """Make a model known, so that its id alone loads it with the right files and settings.

    Registering a name again replaces what was known of it.

    Raises:
        InputError: If a setting has an unknown name or a wrong value.

    Examples:
        >>> from laterank import KnownModel, register_model
        >>> register_model(
        ...     KnownModel(
        ...         name="our-team/support-colbert",
        ...         licence="proprietary",
        ...         embedding_size=128,
        ...         parameters_millions=110,
        ...         settings={"query_expansion": "min"},
        ...     )
        ... )
    """
    if not isinstance(model, KnownModel):
        raise InputError(f"register_model got {type(model).__name__}, expected a KnownModel")
    check_settings(model.settings)
    _KNOWN[model.name.lower()] = model


_MODERN = {"query_expansion": "none", "attend_to_expansion_tokens": False}
"""ModernBERT's family is trained without expansion; PyLate's files leave that out and would mean the opposite."""

_BUILTIN = (
    KnownModel(
        name="bundled",
        licence="Apache-2.0",
        embedding_size=96,
        parameters_millions=27,
        quantized_file="model_int8.onnx",
        note="Inside the wheel: no network, no download.",
    ),
    KnownModel(
        name="colbert-ir/colbertv2.0",
        licence="MIT",
        embedding_size=128,
        parameters_millions=110,
        onnx_file="model.onnx",
        settings={
            "query_length": 32,
            "document_length": 180,
            "attend_to_expansion_tokens": False,
            "projected": True,
        },
        note="The classic. Trained with documents of 180 tokens; fastembed feeds it 512.",
    ),
    KnownModel(
        name="lightonai/colbertv2.0",
        licence="not stated",
        embedding_size=128,
        parameters_millions=110,
        settings={"query_length": 32, "document_length": 300, "attend_to_expansion_tokens": False},
        note="The PyLate copy of colbertv2.0. Whether its repository has an ONNX file was not verified.",
    ),
    KnownModel(
        name="answerdotai/answerai-colbert-small-v1",
        licence="Apache-2.0",
        embedding_size=96,
        parameters_millions=33,
        onnx_file="vespa_colbert.onnx",
        quantized_file="onnx/model_int8.onnx",
        settings={"query_length": 32, "document_length": 300, "attend_to_expansion_tokens": False},
        note="The strongest small model. Its quantised graphs leave the projection out; laterank applies it.",
    ),
    KnownModel(
        name="jinaai/jina-colbert-v2",
        licence="CC-BY-NC-4.0",
        commercial_use=False,
        embedding_size=128,
        parameters_millions=560,
        languages="89 languages",
        onnx_file="onnx/model.onnx",
        settings={
            "query_prefix_id": 250002,
            "document_prefix_id": 250003,
            "query_length": 32,
            "document_length": 8192,
            "attend_to_expansion_tokens": True,
            "expansion_token": "<mask>",
            "skiplist_match": "first_piece",
            "projected": True,
            "matryoshka_dims": (128, 96, 64),
        },
        note="Documents of up to 8192 tokens; 2.2 GB.",
    ),
    KnownModel(
        name="lightonai/GTE-ModernColBERT-v1",
        licence="Apache-2.0",
        embedding_size=128,
        parameters_millions=149,
        settings={**_MODERN, "query_length": 48, "document_length": 300},
        note="Documents of up to 8192 tokens with config={'document_length': 8192}.",
    ),
    KnownModel(
        name="lightonai/LateOn",
        licence="Apache-2.0",
        embedding_size=128,
        parameters_millions=149,
        onnx_file="model.onnx",
        settings={**_MODERN, "document_length": 300},
        note="Padding and mask share one token id; only the attention mask tells them apart.",
    ),
    KnownModel(
        name="lightonai/mLateOn",
        licence="not stated",
        embedding_size=128,
        parameters_millions=307,
        languages="many languages",
        onnx_file="model.onnx",
        settings={**_MODERN, "document_length": 8192, "skiplist_words": ()},
    ),
    KnownModel(
        name="lightonai/LateOn-Code",
        licence="Apache-2.0",
        embedding_size=128,
        parameters_millions=149,
        languages="code",
        onnx_file="model.onnx",
        quantized_file="model_int8.onnx",
        settings={**_MODERN, "query_length": 256, "document_length": 2048},
    ),
    KnownModel(
        name="lightonai/LateOn-Code-edge",
        licence="Apache-2.0",
        embedding_size=48,
        parameters_millions=17,
        languages="code",
        onnx_file="model.onnx",
        quantized_file="model_int8.onnx",
        settings={**_MODERN, "query_length": 256, "document_length": 2048},
    ),
    KnownModel(
        name="mixedbread-ai/mxbai-edge-colbert-v0-17m",
        licence="Apache-2.0 (not verified)",
        embedding_size=48,
        parameters_millions=17,
        settings={**_MODERN, "query_length": 48, "document_length": 512, "do_lower_case": True},
        note="Whether its repository has an ONNX file was not verified.",
    ),
    KnownModel(
        name="mixedbread-ai/mxbai-edge-colbert-v0-32m",
        licence="Apache-2.0 (not verified)",
        embedding_size=64,
        parameters_millions=32,
        settings={**_MODERN, "query_length": 48, "document_length": 512, "do_lower_case": True},
        note="Whether its repository has an ONNX file was not verified.",
    ),
    KnownModel(
        name="lightonai/ColBERT-Zero",
        licence="Apache-2.0",
        embedding_size=128,
        parameters_millions=149,
        settings={
            "query_prompt": "search_query: ",
            "document_prompt": "search_document: ",
        },
        note="A marker and a prompt both apply. No ONNX file is known; export it to a folder first.",
    ),
    KnownModel(
        name="lightonai/Reason-ModernColBERT",
        licence="CC-BY-NC-4.0",
        commercial_use=False,
        embedding_size=128,
        parameters_millions=149,
        settings=_MODERN,
        note="ONNX files are the community's; export it to a folder first.",
    ),
    KnownModel(
        name="LiquidAI/LFM2-ColBERT-350M",
        licence="LFM Open License 1.0",
        embedding_size=128,
        parameters_millions=353,
        languages="8 languages",
        settings={"query_length": 32, "query_expansion": "fixed"},
        note="Expands with its end token, as it has no mask token. No ONNX file is known; export it to a folder first.",
    ),
    KnownModel(
        name="BAAI/bge-m3",
        licence="MIT",
        embedding_size=1024,
        parameters_millions=568,
        languages="100 languages",
        settings={
            "query_prefix": None,
            "document_prefix": None,
            "query_length": 512,
            "document_length": 8192,
            "query_expansion": "none",
            "skiplist_words": (),
            "drop_start_token": True,
        },
        note="Its own graph lacks the ColBERT head; laterank export makes one that has it, with torch.",
    ),
)

_KNOWN: dict[str, KnownModel] = {model.name.lower(): model for model in _BUILTIN}
