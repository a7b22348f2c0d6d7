"""How fast reranking is, against the peers with the same weights, documents and threads: one report and one plot.

Run ``python benchmarks/speed.py --data FOLDER``. Repeats of everything that is compared are interleaved, because a shared
machine's speed drifts. A part can be measured alone (``--only warm,pool``): the report keeps the others as they were,
each with the command, the machine and the date that made it. PyLate lives in an interpreter of its own (``--pylate PYTHON``).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from speed_parts import EXTRA, PARTS
from speed_plot import draw
from speed_report import machine_facts, refresh_page, report

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "measured.md"
IMAGES = HERE.parent / "docs" / "images"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = HERE.parent.parent / "shared"
    parser.add_argument("--only", help=f"measure these parts alone, of {', '.join([*PARTS])}")
    parser.add_argument("--thousand", action="store_true", help="also 1000 cold documents in all libraries")
    parser.add_argument("--hundred-thousand", action="store_true", help="also 100,000 candidates from disk")
    parser.add_argument("--pylate", help="a Python interpreter that has PyLate")
    parser.add_argument("--report", action="store_true", help="measure nothing, write report and plot anew")
    parser.add_argument("--docs", action="store_true", help="write tables and plot into docs/, too")
    parser.add_argument("--data", type=Path, default=shared / "data")
    parser.add_argument("--models", type=Path, default=shared / "models", help="folder of the other models")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--documents", type=int, default=100, help="of a cold call; others are its multiples")
    parser.add_argument("--queries", type=int, default=20, help="of a collection, for INT8's overlap")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-rounds", type=int, default=40, help="of what takes milliseconds")
    parser.add_argument("--thousand-rounds", type=int, default=2, help="of what takes minutes")
    parser.add_argument("--batch-sizes", type=_sizes, default=[1, 4, 8, 32, 256], help="fastembed's")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER", help="for encoding")
    parser.add_argument("--build", type=Path, default=HERE / "build", help="where models are written once")
    parser.add_argument("--folder", help="where caches are written; a temporary folder if not given")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def chosen(options: argparse.Namespace) -> list[str]:
    """Return the parts to measure, in the report's order."""
    if options.report:
        return []
    wanted = {"thousand": options.thousand, "hundred-thousand": options.hundred_thousand}
    if options.only is None:
        return [name for name in PARTS if name not in EXTRA or wanted[name]]
    named = {*options.only.split(","), *(name for name, also in wanted.items() if also)}
    if unknown := sorted(named - set(PARTS)):
        raise SystemExit(f"there is no part {unknown[0]!r}, expected some of {', '.join(PARTS)}")
    return [name for name in PARTS if name in named]


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one part, and note what made it."""
    start, before = time.perf_counter(), os.getloadavg()[0]
    found = PARTS[name].measure(options)
    return {
        "command": shlex.join(["python", "benchmarks/speed.py", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_facts(),
        "threads": options.threads,
        "load": [before, os.getloadavg()[0]],
        "seconds": round(time.perf_counter() - start),
        "found": found,
    }


def write(options: argparse.Namespace, parts: dict[str, Any]) -> None:
    """Write every single time, the report and the plot."""
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "speed.json").write_text(
        json.dumps({"parts": parts}, indent=1) + "\n", encoding="utf-8"
    )
    text = report(parts)
    (options.results / "speed.md").write_text(text, encoding="utf-8")
    folders = [options.results, *([IMAGES] if options.docs else [])]
    draw({name: part["found"] for name, part in parts.items()}, folders)
    if options.docs:
        PAGE.write_text(refresh_page(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


def main() -> None:
    """Measure part after part, and write the report after each: one that fails does not take the others with it."""
    options = arguments()
    file = options.results / "speed.json"
    parts = json.loads(file.read_text(encoding="utf-8")).get("parts", {}) if file.is_file() else {}
    failed = []
    for name in chosen(options):
        print(f"--- {name}", flush=True)
        try:
            parts[name] = measured(name, options)
        except (Exception, SystemExit):  # noqa: BLE001  # the parts are independent, and take long
            traceback.print_exc()
            failed.append(name)
            continue
        print(f"--- {name}: {parts[name]['seconds']} s", flush=True)
        write(options, parts)
    write(options, parts)
    print(report(parts))
    if failed:
        raise SystemExit(f"failed, and left as before: {', '.join(failed)}")


if __name__ == "__main__":
    main()
