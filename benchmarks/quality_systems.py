"""The systems whose rankings are measured: each sorts BM25's candidates of a whole collection."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

import numpy as np
import onnxruntime
from minilm import MOST_TOKENS
from numpy.typing import NDArray
from tokenizers import Tokenizer

from laterank import ColbertEncoder, MemoryCache, Reranker, SqliteCache
from laterank.cache.codec import RowStorage
from laterank.encoding.token_pooling import pool_rows
from laterank.evaluation.collection import Collection, Ranking
from laterank.evaluation.reranking import rerank_collection

__all__ = ["Bm25", "CrossEncoder", "KeptRows", "LateInteraction", "PooledCosine", "System", "Variant"]

Rows = NDArray[np.float32]
Given = TypeVar("Given")
Made = TypeVar("Made")

PIECE = 1_024
"""Texts encoded between two lines of progress."""
MOST_PAIR_TOKENS = 512
CACHE_BYTES = 16 * 1024**3
"""More than any collection's rows take, so that none is pooled or written twice."""


class System(Protocol):
    """Sorts candidates in one way, or in several that share their encoding."""

    def names(self) -> dict[str, str]:
        """Return the names of its rankings, each with what tells it from every other one."""

    def sort(self, collection: Collection, candidates: Ranking, wanted: Sequence[str]) -> dict[str, Ranking]:
        """Return each wanted name's rankings."""


class Bm25:
    """Leaves the candidates as they came."""

    def names(self) -> dict[str, str]:
        """Return the one name."""
        return {"bm25": "bm25"}

    def sort(self, collection: Collection, candidates: Ranking, wanted: Sequence[str]) -> dict[str, Ranking]:
        """Return the candidates."""
        return dict.fromkeys(wanted, candidates)


@dataclass(frozen=True)
class Variant:
    """What is kept of a document's rows."""

    dim: int | None = None
    """Numbers a token; None for all."""
    pool_factor: int = 1
    storage: RowStorage | None = None
    """What a cache on disk rounds them to; None for the rows as they are."""

    @property
    def suffix(self) -> str:
        """What its name has after the model's."""
        pooled = f"-pool{self.pool_factor}" if self.pool_factor > 1 else ""
        return (f"-{self.dim}" if self.dim else "") + pooled + (f"-{self.storage}" if self.storage else "")


class KeptRows:
    """An encoder whose documents are encoded already, their rows cut to ``dim`` numbers, scaled to unit length and pooled.

    Cutting afterwards gives the rows that ``truncate_dim=`` gives, because scaling to unit length forgets any earlier scaling;
    so one encoding serves all sizes, and laterank itself does the ranking.
    """

    def __init__(
        self, encoder: ColbertEncoder, documents: Mapping[str, Rows], dim: int, *, pool_factor: int = 1
    ) -> None:
        self._encoder, self._documents, self.dim, self._pool_factor = encoder, documents, dim, pool_factor
        self.name, self.fingerprint = encoder.name, encoder.fingerprint

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """Encode queries. *Shape:* ``(query_tokens, dim)`` each"""
        return [self._cut(rows) for rows in self._encoder.encode_queries(texts)]

    def encode_documents(self, texts: Sequence[str]) -> list[Rows]:
        """Look documents up. *Shape:* ``(ceil(document_tokens / pool_factor), dim)`` each"""
        return [pool_rows(self._cut(self._documents[text]), self._pool_factor) for text in texts]

    def _cut(self, rows: Rows) -> Rows:
        if rows.shape[1] == self.dim:
            return rows
        short = rows[:, : self.dim]
        lengths: Rows = np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-12)
        return np.asarray(short / lengths, dtype=np.float32)


@dataclass
class LateInteraction:
    """A late-interaction model, with its rows as they are and with less kept of them."""

    name: str
    load: Callable[[], ColbertEncoder]
    variants: tuple[Variant, ...] = ()

    @cached_property
    def encoder(self) -> ColbertEncoder:
        """The model, loaded when it is first asked for."""
        return self.load()

    @cached_property
    def by_name(self) -> dict[str, Variant]:
        """The variant of each name; a size that the model does not exceed is none."""
        fitting = [found for found in self.variants if found.dim is None or found.dim < self.encoder.dim]
        return {f"{self.name}{found.suffix}": found for found in (Variant(), *fitting)}

    def names(self) -> dict[str, str]:
        """Return a name for each variant."""
        digest, full = self.encoder.fingerprint.hex(), self.encoder.dim
        return {
            name: f"{digest} {found.dim or full}{Variant(None, found.pool_factor, found.storage).suffix}"
            for name, found in self.by_name.items()
        }

    def sort(self, collection: Collection, candidates: Ranking, wanted: Sequence[str]) -> dict[str, Ranking]:
        """Encode each distinct document once and rank each wanted variant."""
        texts = _distinct_texts(collection, candidates)
        label = f"{collection.name} {self.name}"
        rows = dict(zip(texts, in_pieces(self.encoder.encode_documents, texts, label), strict=True))
        return {name: self._ranked(self.by_name[name], rows, collection, candidates) for name in wanted}

    def _ranked(
        self, variant: Variant, rows: Mapping[str, Rows], collection: Collection, candidates: Ranking
    ) -> Ranking:
        dim, pool_factor = variant.dim or self.encoder.dim, variant.pool_factor
        kept = KeptRows(self.encoder, rows, dim, pool_factor=pool_factor)
        cache: MemoryCache | SqliteCache | None = MemoryCache(CACHE_BYTES) if pool_factor > 1 else None
        with ExitStack() as stack:
            if variant.storage:
                folder = stack.enter_context(TemporaryDirectory())
                file = SqliteCache(f"{folder}/rows.sqlite", max_bytes=CACHE_BYTES, storage=variant.storage)
                cache = stack.enter_context(file)
            return rerank_collection(Reranker(kept, cache=cache), collection, candidates)


class PooledCosine:
    """One vector a text: the mean of its token states, compared by cosine (Reimers & Gurevych 2019, arXiv 1908.10084)."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name, self.folder, self.threads = name, folder, threads

    def names(self) -> dict[str, str]:
        """Return the one name."""
        return {self.name: f"{_digest(self.folder)} pooled {MOST_TOKENS}"}

    @cached_property
    def _network(self) -> _Network:
        return _Network(self.folder, MOST_TOKENS, self.threads)

    def encode(self, texts: Sequence[str]) -> list[Rows]:
        """Pool each text's states, special tokens included, and scale to unit length. *Shape:* ``(384,)`` each"""
        means = self._network.map(texts, lambda states: states[0].mean(axis=0))
        return [mean / np.linalg.norm(mean) for mean in means]

    def sort(self, collection: Collection, candidates: Ranking, wanted: Sequence[str]) -> dict[str, Ranking]:
        """Encode each distinct document once and sort."""
        texts = _distinct_texts(collection, candidates)
        vectors = dict(
            zip(texts, in_pieces(self.encode, texts, f"{collection.name} {self.name}"), strict=True)
        )
        queries = self.encode([collection.queries[query] for query in candidates])
        ranking = {}
        for (query, documents), vector in zip(candidates.items(), queries, strict=True):
            scores = [float(vectors[collection.documents[document]] @ vector) for document in documents]
            ranking[query] = _sorted(documents, scores)
        return dict.fromkeys(wanted, ranking)


class CrossEncoder:
    """Reads query and document together; one pair a run, so that no pair's score depends on its neighbours."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name, self.folder, self.threads = name, folder, threads

    def names(self) -> dict[str, str]:
        """Return the one name."""
        return {self.name: f"{_digest(self.folder)} pairs {MOST_PAIR_TOKENS}"}

    @cached_property
    def _network(self) -> _Network:
        return _Network(self.folder, MOST_PAIR_TOKENS, self.threads)

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return each pair's relevance logit."""
        return self._network.map(pairs, lambda logits: float(logits[0, 0]))

    def sort(self, collection: Collection, candidates: Ranking, wanted: Sequence[str]) -> dict[str, Ranking]:
        """Score every pair and sort."""
        pairs = [
            (collection.queries[query], collection.documents[document])
            for query, documents in candidates.items()
            for document in documents
        ]
        scores = iter(in_pieces(self.score, pairs, f"{collection.name} {self.name}"))
        ranking = {
            query: _sorted(documents, [next(scores) for _ in documents])
            for query, documents in candidates.items()
        }
        return dict.fromkeys(wanted, ranking)


class _Network:
    """An ONNX model and its tokenizer; inputs run alone, several at a time."""

    def __init__(self, folder: Path, most_tokens: int, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # the file's own padding and truncation are a training's
        self._tokenizer.enable_truncation(most_tokens, strategy="longest_first")
        self._threads = threads

    def map(
        self, inputs: Sequence[str] | Sequence[tuple[str, str]], read: Callable[[Rows], Made]
    ) -> list[Made]:
        """Return what ``read`` makes of each input's output."""

        def run(text: str | tuple[str, str]) -> Made:
            found = self._tokenizer.encode(*((text,) if isinstance(text, str) else text))
            columns = {"input_ids": found.ids, "attention_mask": found.attention_mask}
            columns["token_type_ids"] = found.type_ids
            feed = {name: np.array([columns[name]], dtype=np.int64) for name in self._inputs}
            return read(self._session.run(None, feed)[0])

        with ThreadPoolExecutor(self._threads) as threads:
            return list(threads.map(run, inputs))


def in_pieces(
    call: Callable[[Sequence[Given]], Iterable[Made]], inputs: Sequence[Given], label: str
) -> list[Made]:
    """Call with a piece after another, and say how far it is: a collection takes minutes."""
    results: list[Made] = []
    start = time.perf_counter()
    for first in range(0, len(inputs), PIECE):
        results += call(inputs[first : first + PIECE])
        speed = len(results) / (time.perf_counter() - start)
        print(f"  {label}: {len(results)} of {len(inputs)}, {speed:.0f} a second", flush=True)
    return results


def _distinct_texts(collection: Collection, candidates: Ranking) -> list[str]:
    """Return every candidate's text once."""
    found = dict.fromkeys(document for documents in candidates.values() for document in documents)
    return list(dict.fromkeys(collection.documents[document] for document in found))


def _sorted(documents: Sequence[str], scores: Sequence[float]) -> list[str]:
    """Sort from the best; equal scores stay in BM25's order, as laterank keeps them."""
    order = sorted(range(len(documents)), key=lambda place: -scores[place])
    return [documents[place] for place in order]


def _digest(folder: Path) -> str:
    """Return a digest of the files that decide the scores."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("model.onnx", "tokenizer.json"):
        digest.update(hashlib.blake2b((folder / name).read_bytes()).digest())
    return digest.hexdigest()
