"""Texts of many kinds that come with laterank, for looking at a model where the caller has none."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from laterank.checks import check_texts, is_blank
from laterank.errors import InputError
from laterank.export.parity import Sample

__all__ = ["halves", "make_sample"]

LEAST_TEXTS = 4
JOINED = 4
"""How many of the built-in passages, one after the other, make a long one."""


def make_sample(texts: Sequence[str] | None) -> Sample:
    """Return the caller's texts as documents, each one's first words as a query; the built-in ones for None.

    Raises:
        InputTypeError: If a text is no string.
        InputError: If there are too few.
    """
    if texts is None:
        return _built_in()
    kept = tuple(text for text in check_texts(texts, "texts") if not is_blank(text))
    if len(kept) < LEAST_TEXTS:
        raise InputError(
            f"texts has {len(kept)} that are not blank, expected at least {LEAST_TEXTS}, some hundred better"
        )
    return Sample(kept, tuple(" ".join(text.split()[:8]) for text in kept[:: max(1, len(kept) // 32)]))


def halves(sample: Sample) -> tuple[Sample, Sample]:
    """Split a sample into one to fit ranges on and one to measure with: every other text."""
    parts = [Sample(sample.documents[start::2], sample.queries[start::2]) for start in (0, 1)]
    return parts[0], parts[1]


def _built_in() -> Sample:
    content = files("laterank.export").joinpath("sample.txt").read_text(encoding="utf-8")
    queries, passages = (part.strip().split("\n") for part in content.split("\n\n"))
    documents = [passage.replace("\\n", "\n") for passage in passages]
    long = [" ".join(documents[start : start + JOINED]) for start in range(0, len(documents), JOINED)]
    return Sample((*documents, *long), tuple(queries))
