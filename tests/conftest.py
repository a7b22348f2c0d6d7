"""Tiny real models for every test; nothing here mocks the code under test."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from chromium import Chromium, chromium, missing

from laterank import ColbertEncoder, Reranker

GOLDEN = Path(__file__).parent / "golden"
TINY_MODELS = ("bert-pylate", "bert-stanford", "bert-st6", "xlmr-jina", "modernbert-pylate", "lighton")


@pytest.fixture(scope="session")
def tiny_encoder() -> ColbertEncoder:
    """Return a BERT-shaped encoder that PyLate's dialect describes."""
    return ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", threads=2)


@pytest.fixture
def tiny_reranker(tiny_encoder: ColbertEncoder) -> Reranker:
    """Return a reranker with an empty cache of its own."""
    return Reranker(tiny_encoder)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a tiny model so that a test may change it."""

    def copy(name: str = "bert-pylate") -> Path:
        return Path(shutil.copytree(GOLDEN / name, tmp_path / name))

    return copy


@pytest.fixture(scope="session")
def started_browser() -> Iterator[Chromium]:
    """Start one browser for all tests."""
    if missing():
        pytest.skip(f"not installed: {missing()}")
    with chromium() as started:
        yield started


@pytest.fixture
def browser(started_browser: Chromium) -> Chromium:
    """Return the browser in the light, with every hue."""
    started_browser.dark(on=False)
    started_browser.grey(on=False)
    return started_browser


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file for each of ``support_pages.PAGES``."""
    from support_pages import write_pages

    folder = tmp_path_factory.mktemp("pages")
    write_pages(folder)
    return folder


def training_module(name: str) -> ModuleType:
    """Import a module of ``training/``, which is no part of the package; its modules find each other."""
    path = Path(__file__).parents[1] / "training" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(path.parent)
        spec.loader.exec_module(module)
    return module


def edit_json(path: Path, *, remove: tuple[str, ...] = (), **changes: Any) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    for key in remove:
        content.pop(key, None)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write a safetensors file by its specification: header length, header, numbers."""
    header, data = {}, b""
    for name, value in tensors.items():
        raw = value.astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
