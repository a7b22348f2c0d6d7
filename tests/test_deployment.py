"""What docs/deployment.md promises: its service and its container's commands work, and nothing is written but the cache."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

import laterank
from laterank import SqliteCache

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "deployment.md"
SOURCE = str(Path(laterank.__file__).parents[1])


def blocks(language: str) -> list[str]:
    """Return the page's blocks of a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def app() -> str:
    """Return the page's service."""
    [found] = [program for program in blocks("python") if "FastAPI" in program]
    return found


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


@contextmanager
def serving(folder: Path, command: list[str], port: int, **environment: str) -> Iterator[str]:
    """Run the page's service in ``folder`` with uvicorn's command line, and yield its address once it answers."""
    (folder / "app.py").write_text(app(), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")]),
            **environment,
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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """Start the page's service as the page says, with two workers, and return its address."""
    port = free_port()
    command = ["uvicorn", "app:app", "--workers", "2", "--port", str(port)]
    with serving(tmp_path, command, port, RERANK_CACHE="passages.sqlite", RERANK_THREADS="1") as url:
        yield url


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


# --- the Dockerfile -------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the page's Dockerfile as pairs of an instruction and its arguments, each on one line."""
    [dockerfile] = blocks("dockerfile")
    lines = re.sub(r"\\\n\s*", "", dockerfile).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line]


def arguments(instruction: str) -> list[str]:
    """Return the arguments of every instruction of a kind, in order."""
    return [found for kind, found in instructions() if kind == instruction]


def settings() -> dict[str, str]:
    """Return the container's environment."""
    return dict(pair.split("=", 1) for line in arguments("ENV") for pair in line.split())


def test_a_builder_understands_the_dockerfile() -> None:
    """Its instructions exist, a stage comes first, and what is taken from a stage is taken from one before."""
    stages: list[str] = []
    assert instructions()[0][0] == "FROM"
    for instruction, given in instructions():
        assert instruction in {
            *("FROM", "RUN", "WORKDIR", "COPY", "ENV", "VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "CMD")
        }
        assert set(re.findall(r"--?(?:mount=\S*,)?from=(\w+)", given)) <= set(stages)
        if instruction == "FROM" and " AS " in given:
            stages.append(given.split(" AS ")[1])
    assert stages == ["wheels"]


def test_the_dockerfile_copies_all_that_the_wheel_is_built_from(tmp_path: Path) -> None:
    """Its first stage, run here: nothing else of the repository goes to the builder."""
    *for_the_wheel, for_the_service = [line.split() for line in arguments("COPY")]
    assert for_the_service == ["app.py", "."]
    for *sources, target in for_the_wheel:
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / "source" / target)
            else:
                (tmp_path / "source").mkdir(exist_ok=True)
                shutil.copy(ROOT / source, tmp_path / "source" / target)
    [stage] = [line for line in arguments("RUN") if "pip wheel" in line]
    assert stage.endswith("pip wheel --wheel-dir /wheels . fastapi uvicorn")
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    build = ["pip", "wheel", *offline, "--quiet", "--wheel-dir", str(tmp_path / "wheels"), "."]
    subprocess.run([sys.executable, "-m", *build], cwd=tmp_path / "source", check=True, timeout=120)
    [wheel] = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        built = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "src" / "laterank"
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert built == {path.relative_to(ROOT / "src").as_posix() for path in files}


def test_the_containers_commands_serve_and_tell_its_health(tmp_path: Path) -> None:
    """CMD starts with the environment of ENV and keeps its cache; HEALTHCHECK passes then, and fails without a service."""
    port, cache = free_port(), tmp_path / "passages.sqlite"
    [program, *options] = json.loads(arguments("CMD")[0].replace('"8000"', f'"{port}"'))
    assert program == "uvicorn"
    checked, check = arguments("HEALTHCHECK")[0].split("CMD ")
    assert shlex.split(checked) == ["--start-period=30s"]
    python, *rest = json.loads(check.replace(":8000/", f":{port}/"))
    assert python == "python"
    health = [sys.executable, *rest]
    assert subprocess.run(health, capture_output=True, timeout=60, check=False).returncode != 0
    with serving(tmp_path, [program, *options], port, **settings() | {"RERANK_CACHE": str(cache)}) as url:
        subprocess.run(health, timeout=60, check=True)
        assert call(f"{url}/rank", {"query": "Which planet is red?", "documents": ["Mars is red."]})
    with SqliteCache(cache) as kept:
        assert len(kept) == 1


def test_the_containers_cache_is_in_a_volume_of_a_user_that_is_a_number() -> None:
    """The account is the one that was made, owns the folder, and can be told from root without /etc/passwd."""
    [user] = arguments("USER")
    [volume] = arguments("VOLUME")
    [account] = [line for line in arguments("RUN") if line.startswith("useradd")]
    name = account.split(" && ")[0].split()[-1]
    assert user.isdecimal()
    assert int(user) > 0
    assert f"--uid {user} " in account
    assert f"--owner={name} {volume}" in account
    assert Path(settings()["RERANK_CACHE"]).parent == Path(volume)
    assert instructions().index(("USER", user)) > max(
        index for index, (kind, _) in enumerate(instructions()) if kind in ("RUN", "COPY")
    )
