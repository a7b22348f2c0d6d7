"""ColbertEncoder: a model by name or by its files, and what it makes of queries and documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from laterank.checks import check_texts, checked_count, checked_seconds
from laterank.cpus import usable_cpus
from laterank.encoding.devices import checked_devices, on_device, providers_of_workers
from laterank.encoding.embedder import Embedder
from laterank.encoding.lazy import lazy
from laterank.encoding.reader import TEXTS_PER_ROUND, TextKind, TextReader
from laterank.encoding.reading import Reading
from laterank.encoding.session import Provider
from laterank.encoding.token_pooling import ward_clusters
from laterank.encoding.tokenization import Tokens
from laterank.errors import InputError
from laterank.model.calibration import Calibration, find_calibration
from laterank.model.config import ColbertConfig
from laterank.model.files import BUNDLED, ModelFiles, find_model

if TYPE_CHECKING:
    from typing_extensions import Self

    from laterank.encoding.pool import EncoderPool

__all__ = ["ColbertEncoder"]


Rows = NDArray[np.float32]

CHARACTERS_PER_TOKEN = 5
"""In English, with the blank after a word; an estimate of work."""
ROW_FORMAT = "1"
"""Part of the fingerprint: raise it when the same files come to mean other rows."""


class ColbertEncoder(TextReader):
    """A late-interaction model: text in, one unit-length float32 row per scored token out.

    Threads may share one encoder. The network is loaded at the first use; pickling and copying never carry it along, nor
    worker processes, which ``close`` or the end of a ``with`` block ends.

    Examples:
        >>> from laterank import ColbertEncoder
        >>> encoder = ColbertEncoder.from_pretrained()
        >>> [rows] = encoder.encode_documents(["Mars is called the Red Planet."])
        >>> rows.shape[1] == encoder.dim
        True
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        truncate_dim: int | None = None,
        pool_factor: int | None = None,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        workers: int | None = None,
        device_ids: Sequence[int] | None = None,
        worker_timeout_seconds: float = 600.0,
        tokens_per_batch: int | None = None,
    ) -> None:
        """Make an encoder of a model on this machine; ``from_pretrained`` finds one by name.

        Args:
            files: The model.
            truncate_dim: Keep the first numbers of each token embedding only and scale to unit length again, for models
                trained for it (Matryoshka, arXiv 2205.13147); None for all. Other sizes are warned of.
            pool_factor: How many tokens of a document share a row, on average (token pooling, arXiv 2409.14683); None or 1 for a
                row each. Queries are never pooled.
            providers: Execution providers in order of preference; None for the CPU.
            threads: Threads to use, by all workers together; None for every usable processor.
            workers: Processes that encode many documents side by side; 0 for none, None for one on each device.
            device_ids: Devices of the providers, such as ``[0, 1]`` for two GPUs, which the workers take in turn; None for
                the providers' own choice.
            worker_timeout_seconds: How long a worker may encode one piece, some thousand tokens, before another does it.
            tokens_per_batch: The most tokens in one run, which bounds the memory; None for what is fastest.

        Raises:
            InputError: If an argument has a value that cannot work, such as more numbers than the model has.
        """
        counts = {
            "truncate_dim": truncate_dim,
            "pool_factor": pool_factor,
            "threads": threads,
            "tokens_per_batch": tokens_per_batch,
        }
        truncate_dim, pool_factor, threads, tokens_per_batch = (
            None if value is None else checked_count(value, name, otherwise=", or None")
            for name, value in counts.items()
        )
        super().__init__(files)
        self.threads = threads if threads is not None else usable_cpus()
        self._truncate_dim = truncate_dim
        self._pool_factor = pool_factor or 1
        self._providers = providers
        self._tokens_per_batch = tokens_per_batch
        self._device_ids = devices = checked_devices(device_ids, providers)
        self._worker_timeout_seconds = checked_seconds(worker_timeout_seconds, "worker_timeout_seconds")
        one_each = len(devices) if len(devices) > 1 else 0
        self.workers = one_each if workers is None else checked_count(workers, "workers", least=0)
        if devices:
            providers = on_device(providers, devices[0])
        self._embedder = Embedder(
            files,
            truncate_dim=truncate_dim,
            providers=providers,
            threads=self.threads,
            tokens_per_batch=tokens_per_batch,
        )
        self._pool = self._make_pool() if self.workers else None

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] = BUNDLED,
        *,
        revision: str | None = None,
        config: ColbertConfig | Mapping[str, Any] | None = None,
        onnx_file: str | None = None,
        quantized: bool | None = None,
        truncate_dim: int | None = None,
        pool_factor: int | None = None,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        workers: int | None = None,
        device_ids: Sequence[int] | None = None,
        worker_timeout_seconds: float = 600.0,
        tokens_per_batch: int | None = None,
        cache_dir: str | PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> ColbertEncoder:
        """Find a model by name and make an encoder of it.

        Args:
            model: ``"bundled"``, a hub id such as ``"answerdotai/answerai-colbert-small-v1"``, or a local folder.
            revision: A branch, tag or commit of the hub's repository.
            config: Single settings that correct the model's files, or a ``ColbertConfig`` in place of them.
            onnx_file: The graph to use, relative to the model.
            quantized: True for the INT8 graph, False for full precision, None for full precision where there is one.
            truncate_dim: Keep the first numbers of each token embedding only, for models trained for it; None for all.
            pool_factor: How many tokens of a document share a row, on average; None or 1 for a row each.
            providers: Execution providers in order of preference, such as ``["cuda"]``; None for the CPU.
            threads: Threads to use, by all workers together; None for every usable processor.
            workers: Processes that encode many documents side by side; 0 for none, None for one on each device.
            device_ids: Devices of the providers, such as ``[0, 1]`` for two GPUs, which the workers take in turn; None for
                the providers' own choice.
            worker_timeout_seconds: How long a worker may encode one piece, some thousand tokens, before another does it.
            tokens_per_batch: The most tokens in one run, which bounds the memory; None for what is fastest.
            cache_dir: The hub's cache; None for the one that ``HF_HOME`` names.
            local_files_only: Never use the network.
            token: The hub's access token.

        Raises:
            ModelNotFoundError: If there is no such model, or it is out of reach.
            ModelFormatError: If files are missing, broken or contradict each other.
        """
        files = find_model(
            model,
            config=config,
            onnx_file=onnx_file,
            quantized=quantized,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(
            files,
            truncate_dim=truncate_dim,
            pool_factor=pool_factor,
            providers=providers,
            threads=threads,
            workers=workers,
            device_ids=device_ids,
            worker_timeout_seconds=worker_timeout_seconds,
            tokens_per_batch=tokens_per_batch,
        )

    @property
    def truncate_dim(self) -> int | None:
        """What token embeddings are truncated to; None for all numbers."""
        return self._truncate_dim

    @property
    def pool_factor(self) -> int:
        """How many tokens of a document share a row, on average; 1 for a row each."""
        return self._pool_factor

    @property
    def dim(self) -> int:
        """Numbers in a token embedding.

        Raises:
            InputError: If ``truncate_dim`` is more than the model has.
        """
        return self._embedder.dim

    @lazy
    def fingerprint(self) -> bytes:
        """A digest of everything that decides a document's rows: graph, tokenizer, projection, settings, size, pooling."""
        digest = hashlib.blake2b(self.files.digest(), digest_size=16)
        projection = self._embedder.projection
        digest.update(projection.digest() if projection else b"in the graph")
        settings = {"config": self.config.to_dict(), "truncate_dim": self._truncate_dim, "format": ROW_FORMAT}
        if self._pool_factor > 1:
            settings["pool_factor"] = self._pool_factor
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.digest()

    def encode_queries(self, texts: Sequence[str]) -> list[Rows]:
        """Encode queries.

        Args:
            texts: One text each.

        Returns:
            Unit-length rows, expansion included, in the order of ``texts``. *Shape:* ``(query_tokens, dim)`` each

        Raises:
            InputTypeError: If a text is no string, naming its position.
            EncodingError: If the model gives NaN or infinite numbers.
        """
        return self._encode(check_texts(texts, "queries"), self._tokenizer.queries, "queries")

    def encode_documents(self, texts: Sequence[str]) -> list[Rows]:
        """Encode documents.

        Args:
            texts: One text each; longer ones than ``config.document_length`` are cut.

        Returns:
            Unit-length rows without punctuation, in the order of ``texts``.
            *Shape:* ``(ceil(document_tokens / pool_factor), dim)`` each

        Raises:
            InputTypeError: If a text is no string, naming its position.
            EncodingError: If the model gives NaN or infinite numbers.
            WorkerError: If worker processes die over the same documents, or are closed meanwhile.
        """
        check_texts(texts, "documents")
        if self._pool is not None and self._pool.pays(texts):
            return self._pool.encode_documents(texts)
        return self._encode(texts, self._tokenizer.documents, "documents")

    def read_document(self, text: str) -> Reading:
        """Return the tokens behind the rows that ``encode_documents`` gives of a text, with their places in it.

        With a ``pool_factor`` the text is encoded, as its rows alone say which tokens share one.

        Examples:
            >>> from laterank import ColbertEncoder
            >>> reading = ColbertEncoder.from_pretrained().read_document("Mars is red.")
            >>> [(token.role, token.text, token.start, token.end) for token in reading.tokens]
            [('start', '[CLS]', None, None), ('marker', '[unused1]', None, None), ('text', 'mars', 0, 4), ('text', 'is', 5, 7), ('text', 'red', 8, 11), ('end', '[SEP]', None, None)]
        """
        reading = super().read_document(text)
        if self._pool_factor == 1:
            return reading
        [rows] = self._embedder.rows(self._tokenizer.documents([text]))
        return replace(reading, pooled=ward_clusters(rows, self._pool_factor))

    def surely_reads_whole(self, text: str, rows: int) -> bool:
        """Tell, without tokenising, that a document of so many rows was not cut; False where its rows alone cannot prove it."""
        return super().surely_reads_whole(text, rows * self._pool_factor)

    def calibration(self) -> Calibration:
        """Return the map from this model's scores to probabilities of relevance, which ``score="probability"`` applies.

        Raises:
            InputError: If the model ships none, none for ``truncate_dim``, or tokens are pooled.
            ModelFormatError: If its ``calibration.json`` is broken.
        """
        if self._pool_factor > 1:
            raise InputError(
                f"score is 'probability', but calibrations are fitted for a row a token, and pool_factor is {self._pool_factor}; "
                "use 'mean' or 'sum', or no pool_factor"
            )
        path, size = self.files.calibration, self._embedder.stated_dim
        calibration = find_calibration(path, name=self.name, truncate_dim=self._truncate_dim, size=size)
        self.files.refuse_change()
        return calibration

    def start_workers(self) -> None:
        """Start the worker processes now, where there are to be some, instead of at the first call that needs them."""
        if self._pool is not None:
            self._pool.start()

    def close(self) -> None:
        """End the worker processes; a later call starts others. Without any there is nothing to close."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "truncate_dim": self._truncate_dim,
            "pool_factor": self._pool_factor,
            "providers": self._providers,
            "threads": self.threads,
            "workers": self.workers,
            "device_ids": self._device_ids or None,
            "worker_timeout_seconds": self._worker_timeout_seconds,
            "tokens_per_batch": self._tokens_per_batch,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        files: ModelFiles = state["files"]
        bundled = files.name == BUNDLED  # the wheel may lie elsewhere where this is read
        state = {**state, "files": find_model(config=files.config) if bundled else files.as_seen_now()}
        self.__init__(**state)  # type: ignore[misc]  # the session is not carried along but made anew

    def __copy__(self) -> ColbertEncoder:
        return self  # it never changes, and a second network would be a second copy of the weights

    def __deepcopy__(self, memo: dict[int, Any]) -> ColbertEncoder:
        return self

    def _make_pool(self) -> EncoderPool:
        """Give each worker its device, in turn, and its share of the threads."""
        from laterank.encoding.pool import EncoderPool  # which few need and multiprocessing comes with

        options = {
            "files": self.files,
            "truncate_dim": self._truncate_dim,
            "pool_factor": self._pool_factor,
            "threads": max(1, self.threads // self.workers),
            "tokens_per_batch": self._tokens_per_batch,
        }
        each = providers_of_workers(self._providers, self._device_ids, self.workers)
        longest = CHARACTERS_PER_TOKEN * self.config.document_length
        return EncoderPool(
            [{**options, "providers": providers} for providers in each],
            longest=longest,
            piece_seconds=self._worker_timeout_seconds,
        )

    def _encode(
        self, texts: Sequence[str], tokenize: Callable[[Sequence[str]], list[Tokens]], kind: TextKind
    ) -> list[Rows]:
        texts, result = list(texts), []
        pool_factor = self._pool_factor if kind == "documents" else 1
        for start in range(0, len(texts), TEXTS_PER_ROUND):
            tokens = tokenize(texts[start : start + TEXTS_PER_ROUND])
            if cut := [len(read) for read in tokens if read.truncated]:
                self._say_once_if_cut(len(cut), len(tokens), kind, cut[0])
            result += self._embedder.rows(tokens, pool_factor=pool_factor)
        return result
