"""The machine's facts, and the report of the speed benchmark."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speed_numbers import table
from speed_parts import PARTS

from laterank.evaluation.machine import package_versions

__all__ = ["machine_facts", "refresh_page", "report"]

PACKAGES = ("laterank", "onnxruntime", "numpy", "tokenizers", "fastembed", "maxsim-cpu", "langchain-core")
BEGIN, END = "<!-- begin speed -->", "<!-- end speed -->"
"""Between these two a page shows the report."""


def machine_facts() -> dict[str, Any]:
    """Return what a timing depends on: processor, usable cores, versions."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": models[0] if models else platform.processor(),
        "vector_extensions": [
            flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in flags
        ],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": package_versions(PACKAGES),
    }


GOALS = """\
The goals were set ahead, by what the fastest designs had reached on another processor; what is missed is shown as it is. INT8 counts
where it leaves 93% of the top 10 as it was and costs at most 0.3 points of nDCG@10. Nobody trained these weights to rank; what the
bundled model's INT8 costs stands [above](#quality)."""


def report(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the report: what is judged first, then each part's tables with what made them."""
    lines = ["# Speed", "", *_conditions(parts), "", "## Goals", "", GOALS, ""]
    results = {name: part["found"] for name, part in parts.items()}
    bars = [bar for part in PARTS.values() for bar in part.bars(results)]
    lines += table(["figure", "medians (fastest)", "goal", ""], [bar.cells() for bar in bars])
    if "growth" in parts:
        lines += ["", "![Latency against candidates](speed.svg)"]
    for name, part in PARTS.items():
        if name in parts:
            lines += ["", f"## {part.title}", "", *part.tables(parts[name]["found"])]
            lines += ["", _made(parts[name])]
    return "\n".join(_without_blank_pairs(lines)) + "\n"


def _conditions(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the machines: one, unless parts were measured on several."""
    said = dict.fromkeys(_machine(part) for part in parts.values())
    return [
        *said,
        "",
        "What is compared takes turns, in random order; times are wall times, medians first. `d50` and `d200` are",
        "documents of about 50 and 200 tokens; `:n` is a batch size.",
    ]


def _machine(part: Mapping[str, Any]) -> str:
    machine = part["machine"]
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    extensions = ", ".join(machine["vector_extensions"])
    return f"{machine['processor']} ({extensions}), {machine['cores']} cores, {part['threads']} threads; {versions}."


def _made(part: Mapping[str, Any]) -> str:
    before, after = part["load"]
    return f"`{part['command']}`, {part['date']}, {part['seconds']} s, load {before:.1f} before and {after:.1f} after."


def _without_blank_pairs(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if line or number == 0 or lines[number - 1]]


def refresh_page(page: str, text: str) -> str:
    """Return a page of the documentation with the report between its two marks, headings one level down.

    Raises:
        ValueError: If a mark is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    body = (
        text.split("\n", 1)[1].strip().replace("\n## ", "\n### ").replace("(speed.svg)", "(images/speed.svg)")
    )
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"
