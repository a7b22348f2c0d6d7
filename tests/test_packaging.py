"""What is installed is what was written: the wheel, what it imports, and which file may import which."""

import ast
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from console import PAGES, ROOT

PACKAGE = ROOT / "src" / "laterank"

LAYERS = (
    {"errors"},
    {"checks", "cpus", "forking", "progress", "rows", "runtime"},
    {"scoring", "model"},
    {"encoding"},
    {"cache", "ranking", "scale", "export"},
    {"early_exit", "fusion", "long_documents"},
    {"diagnosis", "explanation", "sums"},
    {"reranker"},
    {"adapter", "evaluation"},
    {"langchain", "llama_index", "cli"},
    {"__main__"},
)
"""A file imports only from the layers before its own; within a layer, nothing from its neighbours."""

ONLY_IN = {
    "langchain_core": "langchain.py",
    "llama_index": "llama_index.py",
    "onnxruntime": "runtime.py",
    "tokenizers": "encoding/vocabulary.py",
    "huggingface_hub": "model/",
    "typer": "cli/",
    "rich": "cli/",
    "onnx": "export/",
    "torch": "export/",
    "transformers": "export/torch_network.py",
}
"""Each heavy dependency is known to one file or folder."""

# --- the wheel ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, as a release would."""
    folder = tmp_path_factory.mktemp("wheel")
    run_python("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT)
    [built] = folder.glob("laterank-*.whl")
    return built


@pytest.fixture(scope="module")
def wheel_files(wheel: Path) -> dict[str, int]:
    """Return the size in bytes of each file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a fresh folder; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    run_python("-m", "pip", "install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def run_python(*arguments: str | Path, folder: Path | None = None, first_on_path: Path | None = None) -> str:
    """Run Python elsewhere than in the source tree, offline, and return what it printed."""
    added = {"PYTHONPATH": str(first_on_path)} if first_on_path else {}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **added, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata(wheel: Path) -> Message:
    """Read the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_every_file_of_the_package(wheel_files: dict[str, int]) -> None:
    """Code, py.typed and the bundled model: whatever lies in the package's folder."""
    files = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert "laterank/py.typed" in files
    assert files - set(wheel_files) == set()


def test_the_wheel_holds_the_bundled_model(wheel_files: dict[str, int]) -> None:
    """A graph of some size, its tokenizer, its settings and its card."""
    names = {name.removeprefix("laterank/model/bundled/") for name in wheel_files}
    assert {"tokenizer.json", "config_sentence_transformers.json", "README.md", "NOTICE"} <= names
    assert max(size for name, size in wheel_files.items() if name.endswith(".onnx")) > 1_000_000


def test_the_wheel_names_its_licences(wheel: Path, wheel_files: dict[str, int]) -> None:
    """The package's licence and the bundled model's notice are where installers look for them."""
    licences = {name.split(".dist-info/licenses/")[1] for name in wheel_files if "/licenses/" in name}
    assert {"LICENSE", "src/laterank/model/bundled/NOTICE"} <= licences
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


def test_the_wheel_holds_nothing_else(wheel_files: dict[str, int]) -> None:
    """No tests, no training, no examples, nothing compiled."""
    assert {name.split("/")[0].partition("-")[0] for name in wheel_files} == {"laterank"}
    assert [name for name in wheel_files if name.endswith(".pyc")] == []


def test_the_wheel_is_smaller_than_30_megabytes(wheel: Path) -> None:
    """A model inside must not make the package a burden."""
    assert wheel.stat().st_size < 30_000_000


def test_the_source_distribution_holds_what_its_tests_read(tmp_path: Path) -> None:
    """Every page whose blocks run, and every program beside the package: who packages laterank runs the tests from there."""
    run_python(
        "-c", "import sys, hatchling.build; hatchling.build.build_sdist(sys.argv[1])", tmp_path, folder=ROOT
    )
    [built] = tmp_path.glob("laterank-*.tar.gz")
    with tarfile.open(built) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    folders = [ROOT / name for name in ("benchmarks", "docs", "examples", "tests", "training")]
    needed = {*PAGES, *(path for folder in folders for path in folder.glob("*.py"))}
    assert len(needed) > 100
    assert {path.relative_to(ROOT).as_posix() for path in needed} - held == set()


def test_the_core_needs_no_framework(wheel: Path) -> None:
    """LangChain, LlamaIndex and onnx are extras; torch and transformers are one of their own, which no other takes in."""
    required = [line.lower() for line in metadata(wheel).get_all("Requires-Dist", [])]
    optional = ("langchain", "llama", "onnx>", "onnx ", "torch", "transformers")
    assert all("extra ==" in line for line in required if line.startswith(optional)), required
    heavy = [line for line in required if line.startswith(("torch", "transformers"))]
    assert all("extra == 'export-torch'" in line for line in heavy), heavy


def test_the_installed_wheel_ranks_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    """From another folder, with nothing but the wheel and its dependencies, the best document comes first."""
    program = (
        "import laterank\n"
        "documents = ['Venus is close to the Sun.', 'Mars is known as the Red Planet.', '']\n"
        "ranking = laterank.Reranker.from_pretrained().rank('Which planet is called red?', documents)\n"
        "print(laterank.__file__)\n"
        "print(*(place.index for place in ranking))\n"
    )
    imported_from, order = run_python("-c", program, folder=tmp_path, first_on_path=installed).splitlines()
    assert Path(imported_from) == installed / "laterank" / "__init__.py"
    assert order == "1 0 2"


# --- what importing it loads ----------------------------------------------------------------------------------------


def test_importing_laterank_loads_no_framework() -> None:
    """Neither a framework nor a runtime is loaded until it is used."""
    program = (
        "import sys\n"
        "import laterank\n"
        "heavy = {'langchain_core', 'llama_index', 'torch', 'onnx', 'transformers', 'onnxruntime', 'tokenizers',\n"
        "         'huggingface_hub', 'pydantic'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    assert run_python("-c", program).split() == []


def test_importing_laterank_loads_nothing_that_ranking_can_do_without() -> None:
    """A command or a serverless function that ranks once pays for ranking, not for pages and package metadata."""
    program = (
        "import sys\n"
        "from laterank import Reranker\n"
        "slow = {'laterank.explanation', 'laterank.evaluation', 'laterank.export', 'importlib.metadata', 'email',\n"
        "        'statistics', 'multiprocessing'}\n"
        "print(*sorted(slow & set(sys.modules)))\n"
    )
    assert run_python("-c", program).split() == []


# --- which file may import which ------------------------------------------------------------------------------------


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of every module that a file imports, at its top or within."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def layer(part: str) -> int:
    """Return the layer of one of the package's own files or folders."""
    [found] = [place for place, parts in enumerate(LAYERS) if part in parts]
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


def source_name(path: Path) -> str:
    """Name a source file by its path in the package."""
    return path.relative_to(PACKAGE).as_posix()


def test_every_file_belongs_to_a_layer() -> None:
    """A new file or folder gets its place here before it gets imports."""
    parts = {source_name(path).split("/")[0].removesuffix(".py") for path in SOURCES} - {"__init__"}
    assert parts <= set().union(*LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=source_name)
def test_a_file_imports_only_from_the_layers_before_it(path: Path) -> None:
    """Imports point one way: from the frameworks' edge to the errors."""
    own = source_name(path).split("/")[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imports(path) if name.startswith("laterank.")} - {own}
    if own == "__init__":
        assert used.isdisjoint(LAYERS[-1] | LAYERS[-2])
    else:
        assert [part for part in sorted(used) if layer(part) >= layer(own)] == []


@pytest.mark.parametrize("path", SOURCES, ids=source_name)
def test_each_heavy_dependency_is_known_to_one_place(path: Path) -> None:
    """What a framework or a runtime looks like is one place's secret; torch is for exporting some checkpoints only."""
    used = {name.split(".")[0] for name in imports(path)}
    assert [name for name in used if not source_name(path).startswith(ONLY_IN.get(name, ""))] == []
    assert "sentence_transformers" not in used


def test_the_public_names_are_these() -> None:
    """A name that is added or lost is a decision, not an accident."""
    import laterank

    assert laterank.__all__ == [
        "CacheError",
        "CacheStats",
        "ColbertConfig",
        "ColbertEncoder",
        "DocumentCache",
        "Encoder",
        "EncodingError",
        "InputError",
        "InputTypeError",
        "KnownModel",
        "LaterankError",
        "MemoryCache",
        "ModelFormatError",
        "ModelNotFoundError",
        "ProviderError",
        "RankedDocument",
        "Reranker",
        "SqliteCache",
        "WorkerError",
        "maxsim",
        "register_model",
    ]


def test_an_archive_says_that_it_has_no_bundled_model(wheel: Path, tmp_path: Path) -> None:
    """Python imports from a wheel as it is; onnxruntime reads a model from files only. Other models load."""
    other = Path(__file__).parent / "golden" / "bert-pylate"
    program = f"""
from laterank import ModelNotFoundError, Reranker
print(len(Reranker.from_pretrained({str(other)!r}).rank("red", ["mars"])))
try:
    Reranker.from_pretrained()
except ModelNotFoundError as error:
    print(error)
"""
    printed = run_python("-c", program, folder=tmp_path, first_on_path=wheel)
    assert printed.startswith("1\n")
    assert "imported from an archive" in printed
    assert "pip install laterank" in printed
