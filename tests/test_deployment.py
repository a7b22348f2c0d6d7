"""What docs/deployment.md promises: its service answers from several workers, and nothing is written but the cache."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

import laterank
from laterank import SqliteCache

PAGE = Path(__file__).parent.parent / "docs" / "deployment.md"
SOURCE = str(Path(laterank.__file__).parents[1])


def app() -> str:
    """Return the page's service."""
    [found] = [
        program
        for program in re.findall(
            r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        if "FastAPI" in program
    ]
    return str(found)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def call(url: str, body: dict[str, object] | None = None) -> object:
    """Get a page, or post to it."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=60) as answer:
        return json.load(answer)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """Start the page's service as the page says, with two workers, and return its address."""
    (tmp_path / "app.py").write_text(app(), encoding="utf-8")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", str(port)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")]),
            "RERANK_CACHE": "passages.sqlite",
            "RERANK_THREADS": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while True:
            try:
                call(f"{url}/live")
                break
            except (URLError, ConnectionError):
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_service_ranks_is_ready_and_keeps_what_it_encoded(service: str, tmp_path: Path) -> None:
    """Its answers are the package's, a blank query is the caller's mistake, and both workers share one file."""
    assert call(f"{service}/ready") == {"status": "ok"}
    documents = ["Venus is hot.", "Mars is red."]
    for _ in range(4):
        [best] = call(
            f"{service}/rank", {"query": "Which planet is red?", "documents": documents, "top_n": 1}
        )  # type: ignore[misc]
        assert best["index"] == 1
    with pytest.raises(HTTPError, match="422"):
        call(f"{service}/rank", {"query": " ", "documents": documents})
    with SqliteCache(tmp_path / "passages.sqlite") as cache:
        assert len(cache) == 3  # and the word of the check


@pytest.mark.skipif(os.name != "posix", reason="limits of another kind")
def test_ranking_writes_nothing(tmp_path: Path) -> None:
    """As in a container with a read-only file system: Python opens no file to write, and native code cannot fill one."""
    program = """
import os, resource, sys

def watch(event, arguments):
    opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if opened or event in ("os.mkdir", "os.remove", "os.rename", "sqlite3.connect"):
        print(event, arguments)

sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
sys.addaudithook(watch)
import laterank
found = laterank.Reranker.from_pretrained().rank("Which planet is red?", ["Venus is hot.", "Mars is red."])
print(found[0].index)
"""
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME"), str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": SOURCE, **folders},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
    assert list(tmp_path.iterdir()) == []
