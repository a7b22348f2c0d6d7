"""What numbers depend on: the processor and the versions of packages."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from laterank.cpus import usable_cpus

__all__ = ["PACKAGES", "package_versions", "processor"]

PACKAGES = ("laterank", "onnxruntime", "numpy", "tokenizers", "bm25s", "ir-measures")


def processor() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {usable_cpus()} cores"


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return Python's version and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # such as onnxruntime, where onnxruntime-gpu stands in
            continue
    return found
