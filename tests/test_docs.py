"""Every Python block of README and docs runs, in order, page by page, and prints what the page says."""

import ast
import doctest
import importlib
import importlib.util
import io
import re
import sys
import textwrap
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter

from laterank import errors
from laterank.model import registry

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))

from console import PAGES, ROOT, steps

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
MODULES = [
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    for path in sorted((ROOT / "src").rglob("*.py"))
    if path.name != "__init__.py"
]
NUMBER = re.compile(r"-?\d+\.\d+%?")
BAR = re.compile("[█-▏]+ *")
FORMULAS_AND_TREES = {"architecture.md": 1, "late_interaction.md": 1}
"""Text blocks that nothing prints, by page."""


def blocks(page: Path) -> list[tuple[str, str, int]]:
    """Return language, body and line number of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(m["language"], m["body"], text[: m.start()].count("\n") + 1) for m in BLOCK.finditer(text)]


def assert_same_output(printed: str, shown: str) -> None:
    """Compare words exactly and decimal numbers to 0.02, percentages to 0.2%: INT8 rounds differently on other processors.

    Bars show numbers that stand beside them.
    """
    printed, shown = (BAR.sub("", text.strip()) for text in (printed, shown))
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    for ours, theirs in zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True):
        step = 0.2 if theirs.endswith("%") else 0.02
        assert float(ours.rstrip("%")) == pytest.approx(float(theirs.rstrip("%")), abs=step, rel=0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_block_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Blocks of a page share their names, and a text block after a Python block is its output."""
    monkeypatch.chdir(ROOT)
    for home in ("HOME", "USERPROFILE"):  # where ~ is
        monkeypatch.setenv(home, str(tmp_path))
    names: dict[str, object] = {"__name__": f"page_{page.stem}"}
    printed: str | None = None
    for language, body, line in blocks(page):
        if language == "python":
            output = io.StringIO()
            with redirect_stdout(output):
                exec(compile("\n" * line + body, str(page), "exec"), names)
            printed = output.getvalue()
        elif language == "text" and printed is not None:
            assert_same_output(printed, body)
            printed = None


def test_every_block_is_of_a_language_that_a_test_reads() -> None:
    """What is in another language, or in a block that starts otherwise, would be read by nobody before its reader."""
    read_by = {
        "python": "here",
        "text": "here, after Python",
        "diff": "below",
        "console": "test_docs_console.py",
        "bash": "test_docs_shell.py",
        "dockerfile": "test_docs_shell.py, as the file of its page",
        "json": "test_calibration.py",
    }
    for page in PAGES:
        fences = re.findall(r"^ *(?:```|~~~).*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert [fence for fence in fences if fence != "```" and fence[3:] not in read_by] == [], page
        assert fences[1::2] == ["```"] * (len(fences) // 2), page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_output_is_printed_by_a_block_before_it(page: Path) -> None:
    """What no test compares goes stale: a text block follows Python, and a console block has a command."""
    found = blocks(page)
    unread = [
        line
        for (before, _, _), (language, body, line) in pairwise([("", "", 0), *found])
        if (language == "text" and before != "python") or (language == "console" and not steps(body))
    ]
    assert len(unread) == FORMULAS_AND_TREES.get(page.name, 0), unread


def test_pages_that_nobody_runs_have_no_blocks() -> None:
    """Markdown elsewhere: cards, measurements, the changelog."""
    others = {
        page
        for folder in (
            ROOT,
            *map(ROOT.joinpath, ("benchmarks", "docs", "examples", "src", "tests", "training")),
        )
        for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    } - set(PAGES)
    assert others
    assert [page for page in others if "```" in page.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What help() shows works, and prints what it says."""
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))
    assert doctest.testmod(importlib.import_module(name)).failed == 0


EXAMPLES = [
    pytest.param(textwrap.dedent(body), id=f"{module}:{number}")
    for module in ("laterank.langchain", "laterank.llama_index")
    for number, body in enumerate(
        re.findall(
            r"^ *```python\n(.*?)^ *```$",
            (ROOT / "src" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    )
]


@pytest.mark.parametrize("body", EXAMPLES)
def test_every_example_of_the_adapters_reference_runs(
    body: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a store, an index and a pipeline, which they leave to their reader."""
    monkeypatch.chdir(tmp_path)
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_texts(["Venus is hot.", "Mars is red."])
    index = VectorStoreIndex.from_documents(
        [Document(text="Venus is hot."), Document(text="Mars is red.")],
        embed_model=MockEmbedding(embed_dim=8),
    )
    monkeypatch.setattr(Settings, "_llm", MockLLM())
    names: dict[str, Any] = {
        "vector_store": store,
        "index": index,
        "IngestionPipeline": IngestionPipeline,
        "SentenceSplitter": SentenceSplitter,
    }
    exec(body, names)
    if "retriever" in names:
        assert names["retriever"].invoke("Which planet is red?")[0].page_content == "Mars is red."
    elif "query_engine" in names:
        [first, _] = names["query_engine"].query("Which planet is red?").source_nodes
        assert first.node.get_content() == "Mars is red."
    else:
        names["pipeline"].run(documents=[Document(text="Mars is red.")])
        assert names["reranker"].reranker.cache.stats().documents == 1


def test_every_example_of_a_module_is_run_above() -> None:
    """Those that are no sessions are of the adapters."""
    written = {
        path.stem for path in (ROOT / "src").rglob("*.py") if "```" in path.read_text(encoding="utf-8")
    }
    assert written == {"langchain", "llama_index"}
    assert len(EXAMPLES) == 3


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody can reach is no documentation."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f" {page.relative_to(DOCS).as_posix()}\n" in navigation, page


@pytest.mark.parametrize(
    "module", ["laterank", "laterank.langchain", "laterank.llama_index", "laterank.explanation"]
)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """What a module offers is described in docs/api.md; the errors stand there together."""
    described = set(
        re.findall(r"^::: ([\w.]+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    offered = set(importlib.import_module(module).__all__) - set(errors.__all__)
    assert {f"{module}.{name}" for name in offered} - described == set()
    assert "laterank.errors" in described


def anchors(page: Path) -> set[str]:
    """Return what a page's headings are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Files, pictures and headings of the repository exist."""
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")
    ):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


# --- migration: differences between another package's program and ours -----------------------------------------------

DIFFERENCES = [
    pytest.param(page, line, body, following, id=f"{page.stem}:{line}")
    for page in PAGES
    for (language, body, line), (_, following, _) in zip(blocks(page), blocks(page)[1:], strict=False)
    if language == "diff"
]


def side(difference: str, *, without: str) -> str:
    """Return a difference's old side (without "+") or new one (without "-")."""
    return "".join(line[1:] or "\n" for line in difference.splitlines(keepends=True) if line[0] != without)


def test_there_are_differences() -> None:
    """Each migration page has at least one, so the tests below have something to read."""
    pages = {page.values[0] for page in DIFFERENCES}
    assert pages >= set((DOCS / "migration").glob("*.md")) - {DOCS / "migration" / "index.md"}


@pytest.mark.parametrize(("page", "line", "body", "following"), DIFFERENCES)
def test_a_difference_ends_in_the_program_after_it(page: Path, line: int, body: str, following: str) -> None:
    """Whoever changes the marked lines has the program of the next block, which runs."""
    assert side(body, without="-").strip() == following.strip()


@pytest.mark.parametrize(("page", "line", "body", "following"), DIFFERENCES)
def test_a_difference_starts_from_what_the_other_package_has(
    page: Path, line: int, body: str, following: str
) -> None:
    """The old side is Python, and of packages that are installed it imports what is there.

    It can't run: it would download models, or ask for a key, and most of the other packages are not installed.
    """
    for node in ast.walk(ast.parse(side(body, without="+"))):
        if isinstance(node, ast.ImportFrom) and is_installed(str(node.module)):
            found = importlib.import_module(str(node.module))
            assert all(hasattr(found, name.name) for name in node.names), ast.unparse(node)


def is_installed(module: str) -> bool:
    """Tell whether a module's package is there; LlamaIndex's many share one name, and those of the pages are not."""
    shared = module.startswith("llama_index.postprocessor")
    return not shared and importlib.util.find_spec(module.split(".")[0]) is not None
