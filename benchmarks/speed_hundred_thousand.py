"""One ranking of 100,000 candidates whose rows are on disk: its time, and how much memory it takes.

``python speed_hundred_thousand.py PATH DATA COUNT THREADS`` ranks once more in a process of its own and prints what it took.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speed_growth import put_drawn_rows, texts_of
from speed_memory import own_peak_mib
from speed_numbers import Bar, number, table
from speed_texts import QUERY

from laterank import Reranker, SqliteCache

__all__ = ["hundred_thousand_bars", "hundred_thousand_tables", "measure_hundred_thousand"]

Found = Mapping[str, Any]

PLANTED = 7
"""The place of the candidate that has the query's own rows."""


def measure_hundred_thousand(options: argparse.Namespace) -> dict[str, Any]:
    """Write the rows, then rank a tenth and all of them in fresh processes."""
    count = options.documents * 1000
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "rows"
        put_drawn_rows(path, texts_of(options.data, count), planted=PLANTED)
        found = []
        for some in (count // 10, count):
            command = [
                sys.executable,
                __file__,
                str(path),
                str(options.data),
                str(some),
                str(options.threads),
            ]
            finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(finished.stdout))
            print(found[-1], flush=True)
        return {"file_mib": path.stat().st_size / 2**20, "rankings": found}


def hundred_thousand_tables(found: Found) -> list[str]:
    """Return times and memory."""
    rows = [
        [
            f"{ranking['candidates']:,}",
            *(number(seconds) for seconds in ranking["seconds"]),
            *(number(ranking[name]) for name in ("peak_mib_before", "peak_mib_after")),
            "yes" if ranking["planted_is_first"] else "NO",
        ]
        for ranking in found["rankings"]
    ]
    heads = [
        "candidates",
        "first ranking, s",
        "second, s",
        "peak before, MiB",
        "peak after, MiB",
        "right one first",
    ]
    said = (
        f"Drawn rows of the bundled model's size, 150 to 250 a document, in a file of {number(found['file_mib'])} MiB; the peak before "
        "holds interpreter, model and the texts themselves; top_n is 10."
    )
    return [said, "", *table(heads, rows)]


def hundred_thousand_bars(results: Mapping[str, Found]) -> list[Bar]:
    """Judge nothing: the table states time and memory, and no bar was set."""
    del results
    return []


def _rank(path: Path, data: Path, count: int, threads: int) -> None:
    texts = texts_of(data, count)
    with SqliteCache(path, max_bytes=1 << 40) as cache:
        reranker = Reranker.from_pretrained(cache=cache, threads=threads)
        reranker.rank(QUERY, texts[:10])
        before, seconds = own_peak_mib(), []
        for _ in range(2):
            start = time.perf_counter()
            first, *_ = reranker.rank(QUERY, texts, top_n=10)
            seconds.append(time.perf_counter() - start)
    answer = {
        "candidates": count,
        "seconds": seconds,
        "peak_mib_before": before,
        "peak_mib_after": own_peak_mib(),
    }
    print(json.dumps({**answer, "planted_is_first": first.index == PLANTED}))


if __name__ == "__main__":
    _rank(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
