"""What a user would choose against what a user would choose: ``ColbertRerank()``, and fastembed with the 12-layer model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from interleaving import interleaved
from langchain_core.documents import Document
from speed_model import answerai_folder
from speed_numbers import Bar, at_least, best, speed_up, table, times_cells
from speed_systems import FASTEMBED_DEFAULT, FastembedSystem, load_fastembed
from speed_texts import QUERY, passages

from laterank.langchain import ColbertRerank

__all__ = ["ANSWERAI", "choice_bars", "choice_tables", "measure_choice"]

Found = Mapping[str, Any]

ANSWERAI = "answerai-colbert-small-v1-int8"
ANSWERAI_DIM = 96
OURS = "ColbertRerank()"


def measure_choice(options: argparse.Namespace) -> dict[str, Any]:
    """Time 100 documents of about 200 tokens, with an empty cache each time."""
    texts = passages(options.data, "d200", options.documents)
    documents = [Document(page_content=text) for text in texts]
    reranker = ColbertRerank(threads=options.threads)

    def rerank() -> Sequence[Document]:
        reranker.reranker.cache.clear()
        return reranker.compress_documents(documents, QUERY)

    model = answerai_folder(options.build, options.models / ANSWERAI)
    loaded = load_fastembed(model, ANSWERAI_DIM, options.threads)
    calls: dict[str, Any] = {OURS: rerank}
    for size in options.batch_sizes:
        calls[f"fastembed :{size}"] = partial(FastembedSystem(loaded, size).scores, QUERY, texts)
    FastembedSystem(loaded, 1).scores(QUERY, texts[:4])
    reranker.compress_documents(documents[:4], QUERY)
    return {"documents": len(texts), "milliseconds": interleaved(calls, options.rounds)}


def choice_tables(found: Found) -> list[str]:
    """Return everyone's times, and how many times as long as ours they are."""
    times = found["milliseconds"]
    rows = [
        [name, *times_cells(taken), f"{speed_up(taken, times[OURS])[0]:.2f}"] for name, taken in times.items()
    ]
    said = (
        f"{found['documents']} documents of about 200 tokens, nothing cached; fastembed with answerai-colbert-small-v1 "
        f"in fp32 (12 layers), `:n` its batch size, {FASTEMBED_DEFAULT} its default. Speed alone: the goal is for equal or better nDCG@10, "
        "which stands under Quality."
    )
    return [said, "", *table(["system", "median, ms", "fastest", "slowest", "times as long"], rows)]


def choice_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge against the best batch size."""
    times = results.get("choice", {}).get("milliseconds", {})
    peer = best(times, "fastembed")
    return [
        at_least(
            f"{OURS} against answerai-colbert-small-v1 by {peer or 'fastembed'}, speed alone",
            5,
            speed_up(times[peer], times[OURS]) if peer else None,
        )
    ]
