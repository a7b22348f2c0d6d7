"""Every bash block of README and docs runs as it stands, in bash, in what a clone looks like, and ends well.

A page's blocks share a folder, as a reader's do, with the files that the page shows and what its reader would have. The hub
is one on loopback. What cannot run in a test has a stand-in of the same name, which checks what can be checked.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, edit_json, write_tensors
from hub_server import HubModel, HubServer
from support_evaluation import COLLECTION

pytest.importorskip("typer", reason="the command line needs the extra laterank[cli]")

from laterank.evaluation import Collection
from laterank.model.files import BUNDLED_FOLDER

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from console import PAGES, ROOT, Shell

missing = [program for program in ("bash", "curl", "make") if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"{missing} not found, which the pages use")

STAND_INS = {
    # An index is far away, and this environment stays as it is: extras are looked up, packages must be in it.
    "pip": r"""
        case "$*" in
            "uninstall -y onnxruntime") set -- install onnxruntime ;;
            "install onnxruntime-gpu") grep --quiet "pip uninstall -y onnxruntime && pip $*" src/laterank/runtime.py; return ;;
            "install -r "*) test -s "$3"; return ;;
            "install ."\[*\])
                for extra in $(tr --complement "a-z-" " " <<< "$2"); do
                    sed --quiet "/^.project.optional-dependencies/,/^$/p" pyproject.toml | grep --quiet "^$extra = " || return
                done
                return ;;
        esac
        if [ "$1" != install ]; then return 64; fi
        for package in "${@:2}"; do command pip show --quiet "$package" || return; done
    """,
    # Every target of this Makefile fills an environment from an index: make looks whether it knows it.
    "make": 'command make --dry-run "$@"',
    # A container takes a daemon and images from a registry.
    "docker": r"""
        case "$1 ${!#}" in
            "build .") test -s Dockerfile -a -s app.py ;;
            "run reranker") grep --quiet "EXPOSE 8000" Dockerfile && [[ "$*" = *" -p 8000:8000 "* ]] ;;
            *) return 64 ;;
        esac
    """,
    # A server goes on until it is stopped, on a port that may be taken: the next free one, in the background.
    "uvicorn": r"""
        command uvicorn "$@" --port "$FREE_PORT" > server.log 2>&1 &
        until command curl --silent --output /dev/null "localhost:$FREE_PORT"; do
            kill -0 $! && sleep 0.2 || { cat server.log; return 1; }
        done
    """,
    "curl": 'command curl --fail-with-body --connect-to "localhost:8000:localhost:$FREE_PORT" "$@"',
    # Training takes torch and hours, judged collections a network: the options are looked up.
    "python": r"""
        case $1 in
            make_model.py) programs="make_model.py options.py" ;;
            lent/code/training/lend.py) programs=lend.py ;;
            benchmarks/held_out.py | benchmarks/quality.py) programs=$1 ;;
            *) command python "$@"; return ;;
        esac
        for option in "$@"; do case $option in --*) grep --quiet "\"$option\"" $programs || return 64 ;; esac; done
    """,
}
"""What a program is in place of itself, as the body of a bash function. The comments say why."""
WRONG = (
    "pip install '.[test]'",
    "pip install no-such-package",
    "pip list",
    "make nothing",
    "docker ps",
    "curl -s localhost:8000/",
    "cd training; python make_model.py --wrong",
    "cd training; python lent/code/training/lend.py --pack",
    "python benchmarks/held_out.py --pack",
    "laterank rerank --wrong",
    "false; true",
    "nothing",
)

BLOCK = re.compile(r"^```bash\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
FILE_NAME = r"`(?P<name>[\w.]+\.py|Dockerfile)`"
SHOWN_FILE = re.compile(
    rf"{FILE_NAME}(?:(?!\n\n|{FILE_NAME.replace('?P<name>', '?:')}).)*:\n\n```\w+\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
"""A block after a paragraph that ends in a colon: it is the last file that the paragraph names."""


def text_of(page: Path) -> str:
    """Read a page."""
    return page.read_text(encoding="utf-8")


class Reader(Shell):
    """Has a clone, the files that a page shows, some data, and a hub; runs blocks until it is closed."""

    def __init__(self, folder: Path, page: str, hub: str) -> None:
        super().__init__(folder)
        self._groups: list[int] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.environment |= {
            "FREE_PORT": str(port),
            "HF_ENDPOINT": hub,
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "localhost,127.0.0.1",
        }
        for name in ("Makefile", "examples", "pyproject.toml", "src", "training"):
            (self.here / name).symlink_to(ROOT / name)
        results = shutil.ignore_patterns("*.json", "build")  # programs write theirs beside themselves
        shutil.copytree(ROOT / "benchmarks", self.here / "benchmarks", ignore=results)
        for shown in SHOWN_FILE.finditer(page):
            (self.here / shown["name"]).write_text(shown["body"], encoding="utf-8")
        for name in ("scifact", "cacm"):
            save(COLLECTION, self.here / name)
        save(articles(), self.here / "collections" / "squad-dev")
        shutil.copytree(GOLDEN / "bert-pylate", self.here / "answerai-colbert-small-v1-int8")

    def finish(self, block: str) -> tuple[int, str]:
        """Run a block as a script that stops at its first failure; return the exit code and what was printed."""
        functions = "".join(f"{name}() {{\n{body}\n}}\n" for name, body in STAND_INS.items())
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", functions + block],
            cwd=self.here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._groups.append(process.pid)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed

    def close(self) -> None:
        """Stop what blocks left running."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)


def save(collection: Collection, folder: Path) -> None:
    """Write a collection in BEIR's form."""
    folder.mkdir(parents=True)
    for name, texts in (("corpus", collection.documents), ("queries", collection.queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    judged = [
        f"{q}\t{d}\t{grade}" for q, grades in collection.relevant.items() for d, grade in grades.items()
    ]
    (folder / "qrels.tsv").write_text("\n".join(judged), encoding="utf-8")


def articles() -> Collection:
    """Return two articles of forty paragraphs with a question about one paragraph each."""
    paragraphs = {
        f"{article}#{number}": f"{article} number {number} is about {number * 7} ships."
        for article in ("Harbour", "Museum")
        for number in range(40)
    }
    asked = {f"q{index}": paragraph for index, paragraph in enumerate(("Harbour#3", "Museum#30"))}
    return Collection(
        "squad-dev",
        documents=paragraphs,
        queries={query: f"What is {paragraph} about?" for query, paragraph in asked.items()},
        relevant={query: {paragraph: 1} for query, paragraph in asked.items()},
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve what the pages download: as lightonai's model a tiny one of its shape, as answerdotai's the bundled one."""
    modern = tmp_path_factory.mktemp("hub") / "modern"
    shutil.copytree(GOLDEN / "modernbert-pylate", modern)
    edit_json(modern / "config.json", max_position_embeddings=512)
    edit_json(modern / "2_Dense" / "config.json", out_features=128, bias=False)
    numbers = np.random.default_rng(0).normal(size=(128, 24))
    write_tensors(modern / "2_Dense" / "model.safetensors", {"linear.weight": numbers})
    small = files(Path(BUNDLED_FOLDER))
    models = {
        "lightonai/GTE-ModernColBERT-v1": files(modern),
        "answerdotai/answerai-colbert-small-v1": small | {"vespa_colbert.onnx": small["model_int8.onnx"]},
    }
    commit = "a" * 40
    server = HubServer({name: HubModel({commit: files}, {"main": commit}) for name, files in models.items()})
    with closing(server.start()):
        yield server.url


def files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if BLOCK.search(text_of(page))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_bash_block_runs(page: Path, hub: str, tmp_path: Path) -> None:
    """To its end, without an error of what it leaves in the background either."""
    with closing(Reader(tmp_path, text_of(page), hub)) as reader:
        for block in BLOCK.finditer(text_of(page)):
            code, printed = reader.finish(block["body"])
            assert code == 0, f"{block['body']}\n{printed}"
            assert "Traceback" not in printed, printed


@pytest.mark.parametrize("block", WRONG)
def test_a_wrong_block_fails(block: str, tmp_path: Path) -> None:
    """Neither bash nor a stand-in lets it pass."""
    with closing(Reader(tmp_path, "", "http://localhost:9")) as reader:
        assert reader.finish(block)[0] != 0
