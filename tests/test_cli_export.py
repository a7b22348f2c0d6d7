"""``laterank export`` and ``laterank quantize``, from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import GOLDEN

cli = pytest.importorskip("laterank.cli")


def test_a_model_is_exported_and_said_how_near_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people, both graphs with what was measured."""
    assert cli.main(["export", str(GOLDEN / "bert-stanford"), str(tmp_path / "model")]) == 0
    printed, said = capsys.readouterr()
    assert said == ""
    assert "bert, 16 numbers a token" in printed
    assert "INT8:" in printed
    assert (tmp_path / "model" / "onnx" / "model_int8.onnx").is_file()


def test_an_export_is_json_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report's fields, and no INT8 where none is wanted."""
    arguments = ["export", str(GOLDEN / "bert-pylate"), str(tmp_path / "model"), "--no-int8", "--json"]
    assert cli.main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["architecture"] == "bert"
    assert report["parity"] > 0.99999
    assert report["fidelity"] is None


def test_a_folder_that_is_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to do, and the exit code is that of wrong arguments."""
    assert cli.main(["export", str(GOLDEN / "bert-pylate"), str(tmp_path)]) == 2
    assert "name another folder" in capsys.readouterr().err


def test_a_graph_is_quantised_with_the_users_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with a text a line fits and measures."""
    folder = Path(shutil.copytree(GOLDEN / "bert-stanford", tmp_path / "model"))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"text number {n} about the planet Mars" for n in range(8)), encoding="utf-8")
    assert cli.main(["quantize", str(folder), "--texts", str(texts), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["graph"] == str(folder / "model_int8.onnx")
    assert report["bytes_after"] < report["bytes_before"]
    assert cli.main(["quantize", str(folder)]) == 2
    said = capsys.readouterr().err
    assert said.endswith("is there already; pass --overwrite to replace it\n")
    assert "cuts" not in said
