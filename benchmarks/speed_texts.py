"""The texts that speed is measured with: real paragraphs of three lengths."""

from __future__ import annotations

import itertools
import json
import random
from functools import cache
from pathlib import Path

from laterank import Reranker
from laterank.evaluation.lines import json_lines

__all__ = ["QUERY", "passages"]

QUERY = "Which bridge was the longest of its time when it was opened?"
RANGES = {"d50": (35, 65), "d200": (150, 250), "d400": (350, 480)}
"""Tokens of the documents called so."""
EXAMPLES = Path(__file__).parent.parent / "examples" / "data" / "abstracts.jsonl"
LOOKED_AT = 20_000


def passages(data: Path, kind: str, count: int) -> list[str]:
    """Return real paragraphs of the kind's length in random order, cut out of longer ones where too few are there."""
    fitting = _passages(data, kind)
    if len(fitting) < count:
        low, high = RANGES[kind]
        raise SystemExit(f"{data} has only {len(fitting)} texts of {low} to {high} tokens, expected {count}")
    return fitting[:count]


@cache
def _passages(data: Path, kind: str, seed: int = 0) -> list[str]:
    low, high = RANGES[kind]
    texts = _texts(data)
    random.Random(seed).shuffle(texts)
    words = random.Random(seed).choices(range(int(low * 0.7), int(high * 0.7)), k=len(texts))
    cut = [" ".join(text.split()[:most]) for text, most in zip(texts, words, strict=True)]
    return list(dict.fromkeys(_of_length(texts, low, high) + _of_length(cut, low, high)))


def _texts(data: Path) -> list[str]:
    """Read paragraphs of Wikipedia where they are there, else the abstracts that the examples use."""
    source = data / "text" / "wikipedia.jsonl.gz"
    if source.is_file():
        return [record["text"] for _, record in itertools.islice(json_lines(source), LOOKED_AT)]
    return [json.loads(line)["text"] for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]


def _of_length(texts: list[str], low: int, high: int) -> list[str]:
    encoder = _encoder()
    lengths = encoder.count_tokens(texts)  # type: ignore[attr-defined]  # not in the protocol
    return [text for text, length in zip(texts, lengths, strict=True) if low <= length <= high]


@cache
def _encoder() -> object:
    """Return what counts tokens: the bundled model, whose vocabulary all the others have."""
    return Reranker.from_pretrained(threads=1).encoder
