"""A real tiny model from a hub on loopback: downloaded, ranked with, and ranked with again without the hub."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx_graphs
import pytest
from conftest import GOLDEN
from hub_server import HubModel, HubServer

from laterank import ColbertEncoder

COMMIT = "a" * 40
TEXT = "Mars is called the Red Planet."
CODE = (
    "from laterank import Reranker\n"
    "reranker = Reranker.from_pretrained('tiny/colbert', threads=1)\n"
    f"print(reranker.rank('Which planet is red?', [{TEXT!r}, ''])[0].index, reranker.encoder.files.revision)\n"
)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return a model's files as a repository has them, with some that nobody needs to load it."""
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "golden.npz"]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
    return files | {"README.md": b"# Tiny", "pytorch_model.bin": b"x" * 5000}


@pytest.fixture
def server(copy_of: Callable[..., Path]) -> Iterator[HubServer]:
    """Return a hub with one PyLate model whose weights lie beside its graph."""
    folder = copy_of()
    onnx_graphs.with_external_data(folder / "onnx" / "model.onnx")
    models = {"tiny/colbert": HubModel(commits={COMMIT: files_of(folder)}, refs={"main": COMMIT})}
    running = HubServer(models=models)
    with closing(running.start()):
        yield running


def run(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the code as a user does: a fresh process, steered by environment variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    return subprocess.run(
        [sys.executable, "-c", CODE],
        env=kept | {"HF_HOME": str(home)} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_hub_model_is_downloaded_once_and_then_needs_no_hub(server: HubServer, tmp_path: Path) -> None:
    """Only the needed files travel, weights beside the graph load, and the second process asks nobody."""
    home = tmp_path / "home"
    first = run(home, HF_ENDPOINT=server.url)
    assert first.stdout.strip() == f"0 {COMMIT}", first.stderr
    assert {"onnx/model.onnx", "onnx/model.onnx_data", "1_Dense/model.safetensors"} <= set(server.downloads)
    assert not {"pytorch_model.bin", "model.safetensors", "README.md"} & set(server.downloads)

    asked = len(server.requests)
    again = run(home, HF_ENDPOINT=server.url)
    offline = run(home, HF_HUB_OFFLINE="1")
    unreachable = run(home, HF_ENDPOINT="http://127.0.0.1:9")
    assert again.stdout == offline.stdout == unreachable.stdout == first.stdout, (
        offline.stderr + unreachable.stderr
    )
    assert len(server.requests) == asked


def test_a_hub_model_that_was_never_downloaded_is_a_clear_error_offline(tmp_path: Path) -> None:
    """The error names the model and says how to get it."""
    result = run(tmp_path / "home", HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert "ModelNotFoundError: 'tiny/colbert'" in result.stderr
    assert "hf download tiny/colbert" in result.stderr


def test_a_hub_shaped_cache_folder_ranks_like_the_plain_folder(
    tmp_path: Path, copy_of: Callable[..., Path]
) -> None:
    """Files behind the cache's links, external data among them, give the same rows."""
    folder = copy_of()
    onnx_graphs.with_external_data(folder / "onnx" / "model.onnx")
    repository = tmp_path / "cache" / "models--tiny--colbert"
    for position, (name, content) in enumerate(files_of(folder).items()):
        blob = repository / "blobs" / f"{position:040x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = repository / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    encoder = ColbertEncoder.from_pretrained(
        "tiny/colbert", cache_dir=tmp_path / "cache", local_files_only=True
    )
    expected = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate").encode_documents([TEXT])[0]
    np.testing.assert_allclose(encoder.encode_documents([TEXT])[0], expected, atol=1e-6)
