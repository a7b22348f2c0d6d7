"""The first answer of a process that has just started, its imports apart; the model lies in the page cache."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from speed_numbers import Bar, at_most, speed_up, table, times_cells
from speed_texts import QUERY, passages

__all__ = ["measure_start", "start_bars", "start_tables"]

Found = Mapping[str, Any]

CANDIDATES = 10
ROUNDS = 5
SCRIPTS = {
    "Reranker": """
from laterank import Reranker
imported = time.perf_counter()
Reranker.from_pretrained().rank(query, texts)
""",
    "ColbertRerank": """
from langchain_core.documents import Document
from laterank.langchain import ColbertRerank
documents = [Document(page_content=text) for text in texts]
imported = time.perf_counter()
ColbertRerank().compress_documents(documents, query)
""",
}
FRAME = """
import json, sys, time
query, *texts = json.load(sys.stdin)
start = time.perf_counter()
{script}
print(json.dumps([(imported - start) * 1e3, (time.perf_counter() - imported) * 1e3]))
"""


def measure_start(options: argparse.Namespace) -> dict[str, Any]:
    """Start each script's process some times in turn; the first time warms the page cache and does not count."""
    texts = json.dumps([QUERY, *passages(options.data, "d50", CANDIDATES)])
    found: dict[str, dict[str, list[float]]] = {name: {"import": [], "first call": []} for name in SCRIPTS}
    for number in range(ROUNDS + 1):
        for name in random.Random(number).sample(sorted(SCRIPTS), len(SCRIPTS)):
            command = [sys.executable, "-c", FRAME.format(script=SCRIPTS[name])]
            finished = subprocess.run(command, input=texts, check=True, stdout=subprocess.PIPE, text=True)
            if number:
                for part, taken in zip(found[name], json.loads(finished.stdout), strict=True):
                    found[name][part].append(taken)
    return {"candidates": CANDIDATES, "milliseconds": found}


def start_tables(found: Found) -> list[str]:
    """Return import and first call of each."""
    rows = [
        [name, part, *times_cells(taken)]
        for name, parts in found["milliseconds"].items()
        for part, taken in parts.items()
    ]
    said = f"The bundled model is found and loaded, and ranks {found['candidates']} candidates of about 50 tokens."
    return [said, "", *table(["", "", "median, ms", "fastest", "slowest"], rows)]


def start_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge the first calls."""
    times = results.get("start", {}).get("milliseconds", {})
    return [
        at_most(
            f"first call after import, {name}, seconds",
            1,
            speed_up(times[name]["first call"], [1000.0]) if times else None,
        )
        for name in SCRIPTS
    ]
