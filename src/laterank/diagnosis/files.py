"""Whether a model's files are there, and are what their names say: downloads that ended early, pointers, missing weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from laterank.diagnosis.finding import Finding, failed, from_error, ok, warning
from laterank.errors import ModelFormatError
from laterank.model.json_files import read_json
from laterank.model.safetensors import tensor_names

__all__ = ["check_files", "check_tokenizer_leftovers"]

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
WEB_PAGE = (b"<!doctype html", b"<html")

LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")
EXTENT = re.compile(rb"\x6a.\x0a\x06offset\x12.(\d+)\x6a.\x0a\x06length\x12.(\d+)", re.DOTALL)
"""How protobuf writes a tensor's ``external_data`` (onnx.proto: entries "location", "offset" and "length")."""


def check_files(folder: Path, names: tuple[str, ...]) -> list[Finding]:
    """Look at every file that loading the model needs.

    Args:
        folder: The model's folder.
        names: The files, relative to it, the graph among them.
    """
    problems = [finding for name in names if (finding := _problem_of(folder, name)) is not None]
    for name in names:
        if name.endswith(".onnx") and not any(problem.check == f"file {name}" for problem in problems):
            problems += _missing_weights(folder / name)
    if problems:
        return problems
    total = sum((folder / name).stat().st_size for name in names)
    graph = next((name for name in names if name.endswith(".onnx")), "no graph")
    return [ok("files", f"{len(names)} files of {total / 1e6:.1f} MB in {folder}, with the graph {graph}")]


def _problem_of(folder: Path, name: str) -> Finding | None:
    """Return what is wrong with a file, whatever it should hold."""
    path, check, expected = folder / name, f"file {name}", "the file's own content"
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        return failed(
            check,
            f"{name} cannot be read: {error.strerror}",
            expected=expected,
            cure="download or copy it again",
        )
    if not head:
        return failed(check, f"{name} is empty", expected=expected, cure="download or copy it again")
    if head.startswith(LFS_POINTER):
        size = re.search(rb"size (\d+)", head)
        return failed(
            check,
            f"{name} is a Git LFS pointer of {path.stat().st_size} bytes, not the file itself",
            expected=f"a file of {size[1].decode()} bytes" if size else expected,
            cure="run `git lfs install && git lfs pull` in the repository, or download the model with `hf download`",
        )
    if head.lstrip().lower().startswith(WEB_PAGE):
        cure = "download it again; the address of a file on the hub has /resolve/ in it, not /blob/"
        return failed(check, f"{name} is a web page", expected=expected, cure=cure)
    return _unreadable(check, path)


def _unreadable(check: str, path: Path) -> Finding | None:
    try:
        if path.suffix == ".json":
            read_json(path, expected=list if path.name == "modules.json" else dict)
        elif path.suffix == ".safetensors":
            tensor_names(path)
    except ModelFormatError as error:
        return from_error(check, error, expected=f"a whole {path.suffix[1:]} file")
    return None


def _missing_weights(graph: Path) -> Iterator[Finding]:
    """Yield what is wrong with the files beside a graph that hold its weights."""
    cure = "download or copy it next to the graph, under this very name, or export the graph with its weights inside"
    for name, least_bytes in _external_files(graph).items():
        check, data = f"weights {name}", graph.parent / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            yield failed(
                check,
                f"{graph.name} wants {name}, outside of its folder",
                expected="a file beside it",
                cure=cure,
            )
        elif not data.is_file():
            yield failed(
                check,
                f"{graph.name} keeps its weights in {name}, which is not beside it",
                expected=f"a file of at least {least_bytes} bytes",
                cure=cure,
            )
        elif data.stat().st_size < least_bytes:
            found = f"{name} has {data.stat().st_size} bytes"
            yield failed(check, found, expected=f"at least {least_bytes}", cure="download or copy it again")


def _external_files(graph: Path) -> dict[str, int]:
    """Return the files that a graph names for its weights, each with the bytes that it must have."""
    found: dict[str, int] = {}
    with graph.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        for entry in LOCATION.finditer(content):
            end = entry.end() + entry[1][0]
            name = content[entry.end() : end].decode("utf-8", "replace")
            extent = EXTENT.match(content, end)
            needed = int(extent[1]) + int(extent[2]) if extent else 1
            found[name] = max(found.get(name, 1), needed)
    return found


def check_tokenizer_leftovers(path: Path) -> Finding:
    """Look for padding and truncation that a training left behind in ``tokenizer.json``.

    laterank leaves both out; a library that does not gives every text the same length, or cuts it.
    """
    raw = read_json(path)
    left = [f"{name} ({_wording(raw[name])})" for name in ("padding", "truncation") if raw.get(name)]
    if not left:
        return ok("padding and truncation", "none is left in tokenizer.json")
    return warning(
        "padding and truncation",
        f"{path.name} has left-over {' and '.join(left)}; laterank ignores it, other libraries pad or cut by it",
        expected='"padding": null, "truncation": null',
        cure="tokenizer.no_padding(); tokenizer.no_truncation(); tokenizer.save(...) with the tokenizers library",
    )


def _wording(left: object) -> str:
    """Say what a left-over setting does: ``Fixed: 31``, ``31 tokens``."""
    settings = left if isinstance(left, dict) else {}
    strategy = settings.get("strategy", left)
    if "max_length" in settings:
        return f"{settings['max_length']} tokens"
    return (
        ", ".join(f"{name}: {size}" for name, size in strategy.items())
        if isinstance(strategy, dict)
        else str(strategy)
    )
