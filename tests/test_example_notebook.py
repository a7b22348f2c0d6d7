"""The notebook runs from top to bottom and shows what it says."""

import re

import nbformat
import pytest
from nbclient import NotebookClient
from support_examples import EXAMPLES

TOUR = EXAMPLES / "tour.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """Run the notebook once for all tests, where Jupyter keeps nothing of ours."""
    home = str(tmp_path_factory.mktemp("jupyter"))
    notebook = nbformat.read(TOUR, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "IPYTHONDIR",
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "HF_HOME",
        ):
            patch.setenv(name, home)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}})
        return client.execute()


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the outputs of all cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells printed."""
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def test_the_notebook_is_kept_without_outputs() -> None:
    """It is valid, and its outputs are the reader's own."""
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    assert not outputs(notebook)
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}


def test_no_cell_warns(executed: nbformat.NotebookNode) -> None:
    """Nothing comes on stderr, and every cell shows something."""
    assert all(output.get("name") != "stderr" for output in outputs(executed))
    assert all(cell.outputs for cell in executed.cells if cell.cell_type == "code")


def test_the_notebook_puts_the_right_one_first(executed: nbformat.NotebookNode) -> None:
    """Of the sentences, of the abstracts, and over twelve questions."""
    text = printed(executed)
    assert text.splitlines()[0].endswith("You can return any item within 30 days for a full refund.")
    assert "right abstract: place 5 before reranking, 1 after" in text
    [(before, after)] = re.findall(r"MRR ([\d.]+) before, ([\d.]+) after", text)
    assert float(after) > float(before)


def test_warming_finds_the_candidates_known(executed: nbformat.NotebookNode) -> None:
    """As the text says, what was ranked is not encoded again."""
    assert "Warmed(documents=10, encoded=0, known=13)" in printed(executed)


def test_a_question_without_an_answer_is_less_probable(executed: nbformat.NotebookNode) -> None:
    """The probability tells the two questions apart."""
    answered, unanswered = re.findall(r"^(\d\.\d\d)  (?:How|Which)", printed(executed), re.MULTILINE)
    assert float(answered) > float(unanswered)


def test_explanations_are_shown_as_pages(executed: nbformat.NotebookNode) -> None:
    """One document's and one ranking's, neither with a script."""
    pages = ["".join(output.data["text/html"]) for output in outputs(executed) if "data" in output]
    assert len(pages) == 2
    assert all("<style" in page and "<script" not in page for page in pages)
