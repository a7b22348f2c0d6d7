"""A late-interaction (ColBERT) reranker for LangChain and LlamaIndex, on ONNX Runtime, with a model inside the wheel.

The adapters are ``laterank.langchain.ColbertRerank`` and ``laterank.llama_index.ColbertRerank``; this module loads no
framework.
"""

from laterank.cache.memory import MemoryCache
from laterank.cache.protocol import CacheStats, DocumentCache
from laterank.cache.sqlite import SqliteCache
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.protocol import Encoder
from laterank.errors import (
    CacheError,
    EncodingError,
    InputError,
    InputTypeError,
    LaterankError,
    ModelFormatError,
    ModelNotFoundError,
    ProviderError,
    WorkerError,
)
from laterank.model.config import ColbertConfig
from laterank.model.registry import KnownModel, register_model
from laterank.ranking import RankedDocument
from laterank.reranker import Reranker
from laterank.scoring import maxsim

__version__ = "0.1.0"

__all__ = [
    "CacheError",
    "CacheStats",
    "ColbertConfig",
    "ColbertEncoder",
    "DocumentCache",
    "Encoder",
    "EncodingError",
    "InputError",
    "InputTypeError",
    "KnownModel",
    "LaterankError",
    "MemoryCache",
    "ModelFormatError",
    "ModelNotFoundError",
    "ProviderError",
    "RankedDocument",
    "Reranker",
    "SqliteCache",
    "WorkerError",
    "maxsim",
    "register_model",
]
