"""The teacher's token embeddings of many passages, cached on disk in float16 so that epochs cost only the student."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from model import HIDDEN, ColbertModel, Layer, Shape
from passages import Passage
from tokens import ColbertTokenizer

SHARD_PASSAGES = 2048
BATCH_TOKENS = 2048
MEASURING = Lock()
PRECISION = "precision.json"
SETTLED: dict[str, bool] = {}
"""Whether a kind of device computes in bfloat16, where a run has settled that."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids and the teacher's rows of one text. *Shape:* ``(tokens,)`` and ``(tokens, dim)``."""

    ids: np.ndarray
    target: np.ndarray


@dataclass(frozen=True, slots=True)
class Shard:
    """Passages with their queries, position by position."""

    documents: list[Rows]
    queries: list[Rows]


def like_lengths(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Group positions of nearly equal length into batches of at most ``tokens`` tokens, because padding is waste."""
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if not batches or (len(batches[-1]) + 1) * lengths[position] > tokens:
            batches.append([])
        batches[-1].append(position)
    return batches


def padded(rows: Sequence[np.ndarray], mask_token: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad ids with zeros; mask tokens and padding are not attended. *Shape:* ``(rows, tokens)`` each."""
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    attended = torch.zeros(len(rows), length, dtype=torch.long)
    for position, row in enumerate(rows):
        ids[position, : len(row)] = torch.from_numpy(row.astype(np.int64))
        attended[position, : len(row)] = torch.from_numpy((row != mask_token).astype(np.int64))
    return ids, attended


def settle_precision(folder: Path) -> None:
    """Compute a stage to its end as it began: what was measured first lies in its folder."""
    place = folder / PRECISION
    with MEASURING:
        if place.exists():
            SETTLED["cpu"] = json.loads(place.read_text(encoding="utf-8"))["bfloat16"]
        else:
            SETTLED["cpu"] = bfloat16_pays()
            folder.mkdir(parents=True, exist_ok=True)
            partial = place.with_suffix(".part")
            partial.write_text(json.dumps({"bfloat16": SETTLED["cpu"]}) + "\n", encoding="utf-8")
            partial.replace(place)


def autocast(device: str) -> torch.autocast:
    """Compute products in bfloat16 where that is faster: on every GPU, and on some CPUs."""
    with MEASURING:
        pays = device != "cpu" or (SETTLED[device] if device in SETTLED else bfloat16_pays())
    return torch.autocast(device, dtype=torch.bfloat16, enabled=pays)


@cache
def bfloat16_pays() -> bool:
    """Tell whether a layer's forward and backward take less time in bfloat16 on this CPU; some need a third more."""
    with torch.random.fork_rng(devices=[]):  # what is drawn elsewhere stays what it was
        layer, states = Layer(Shape()), torch.randn(8, 128, HIDDEN)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(4):
        for enabled, taken in times.items():
            start = time.perf_counter()
            with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                layer(states, mask).float().sum().backward()
            taken.append(time.perf_counter() - start)
    return min(times[True]) < min(times[False])


@torch.no_grad()
def embed_all(
    model: ColbertModel, rows: Sequence[np.ndarray], mask_token: int, workers: int
) -> list[np.ndarray]:
    """Return float16 rows of unit length for each text, with one batch a core. *Shape:* ``(tokens, dim)`` each."""
    device = next(model.parameters()).device.type
    results: list[np.ndarray] = [np.empty(0)] * len(rows)

    @torch.no_grad()
    def work(chosen: list[int]) -> None:
        ids, attended = padded([rows[i] for i in chosen], mask_token)
        with autocast(device):
            embedded = model(ids.to(device), attended.to(device)).to(torch.float16).cpu().numpy()
        for i, row in zip(chosen, embedded, strict=True):
            results[i] = row[: len(rows[i])].copy()

    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, like_lengths([len(row) for row in rows], BATCH_TOKENS)))
    return results


def write_shard(path: Path, shard: Shard) -> None:
    """Write a shard as flat arrays through a temporary file."""
    flat = {}
    for name, texts in (("documents", shard.documents), ("queries", shard.queries)):
        flat[f"{name}_lengths"] = np.array([len(text.ids) for text in texts], dtype=np.int32)
        flat[f"{name}_ids"] = np.concatenate([text.ids for text in texts]).astype(np.uint16)
        flat[f"{name}_rows"] = np.concatenate([text.target for text in texts])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, **flat)  # type: ignore[arg-type]
    temporary.rename(path)


def read_shard(path: Path) -> Shard:
    """Read what ``write_shard`` wrote."""
    with np.load(path) as stored:
        texts = {}
        for name in ("documents", "queries"):
            cuts = np.cumsum(stored[f"{name}_lengths"])[:-1]
            ids, rows = np.split(stored[f"{name}_ids"], cuts), np.split(stored[f"{name}_rows"], cuts)
            texts[name] = [Rows(i, r) for i, r in zip(ids, rows, strict=True)]
    return Shard(texts["documents"], texts["queries"])


def teacher_shard(
    number: int,
    passages: Sequence[Passage],
    teacher: ColbertModel,
    tokenizer: ColbertTokenizer,
    folder: Path,
    workers: int,
) -> Shard:
    """Return the teacher's rows for the ``number``-th run of passages, from disk where they lie there."""
    path = folder / f"shard-{number:04}.npz"
    if path.exists():
        return read_shard(path)
    chosen = passages[number * SHARD_PASSAGES : (number + 1) * SHARD_PASSAGES]
    documents = [np.array(ids) for ids in tokenizer.documents([passage.text for passage in chosen])]
    queries = [np.array(ids) for ids in tokenizer.queries([passage.query for passage in chosen])]
    rows = embed_all(teacher, documents + queries, tokenizer.mask, workers)
    texts = [Rows(ids, target) for ids, target in zip(documents + queries, rows, strict=True)]
    shard = Shard(texts[: len(documents)], texts[len(documents) :])
    write_shard(path, shard)
    return shard
