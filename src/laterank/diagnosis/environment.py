"""What a model runs on: versions, execution providers, processors, threads."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

from laterank.cpus import usable_cpus
from laterank.diagnosis.finding import Finding, from_error, ok
from laterank.encoding.session import available_providers
from laterank.errors import ProviderError

__all__ = ["Environment", "check_runtime", "read_environment"]

PACKAGES = (
    "laterank",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "numpy",
    "tokenizers",
    "huggingface_hub",
    "langchain-core",
    "llama-index-core",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed, how many processors there are to use, and how many threads do.

    Attributes:
        python: Its version.
        system: The operating system and the processor's kind.
        packages: Versions by name, of those that are installed.
        providers: onnxruntime's execution providers; empty where it cannot be imported.
        processors: Those that this process may use.
        threads: Those that encode.
    """

    python: str
    system: str
    packages: dict[str, str]
    providers: tuple[str, ...]
    processors: int
    threads: int


def read_environment(threads: int | None = None) -> Environment:
    """Look at this machine.

    Args:
        threads: Those that encode; None for every usable processor, as in ``ColbertEncoder``.
    """
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        providers = available_providers()
    except ProviderError:
        providers = ()
    return Environment(
        platform.python_version(),
        f"{platform.system()} {platform.machine()}",
        packages,
        providers,
        usable_cpus(),
        usable_cpus() if threads is None else threads,
    )


def check_runtime() -> Finding:
    """Find out whether onnxruntime can be used."""
    check = "onnxruntime"
    try:
        providers = available_providers()
    except ProviderError as error:
        return from_error(check, error, expected="one working build of onnxruntime")
    return ok(check, f"works, with {', '.join(providers)}")
