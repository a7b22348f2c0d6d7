"""What a model runs on: versions, execution providers, processors."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

from laterank.diagnosis.finding import Finding, from_error, ok
from laterank.encoding.session import available_providers
from laterank.errors import ProviderError
from laterank.runtime import usable_cpus

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
    """What is installed, and how many processors there are to use.

    Attributes:
        python: Its version.
        system: The operating system and the processor's kind.
        packages: Versions by name, of those that are installed.
        providers: onnxruntime's execution providers; empty where it cannot be imported.
        processors: Those that this process may use.
    """

    python: str
    system: str
    packages: dict[str, str]
    providers: tuple[str, ...]
    processors: int


def read_environment() -> Environment:
    """Look at this machine."""
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
    )


def check_runtime() -> Finding:
    """Find out whether onnxruntime can be used."""
    check = "onnxruntime"
    try:
        providers = available_providers()
    except ProviderError as error:
        return from_error(check, error, expected="one working build of onnxruntime")
    return ok(check, f"works, with {', '.join(providers)}")
