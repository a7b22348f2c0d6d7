"""What a lent machine trained comes back in parts: whole, or not at all."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import training_module

from laterank.export.rounding import quantize_rows


@pytest.fixture(scope="module")
def parts() -> ModuleType:
    """Import ``training/parts.py``."""
    return training_module("parts")


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 25])
def test_parts_make_the_file_again(parts: ModuleType, tmp_path: Path, size: int) -> None:
    """Of no more than the bytes that a part may have, and one more file that tells whether all are there."""
    file = tmp_path / "weights.pt"
    file.write_bytes(bytes(range(size)))
    written = parts.split(file, tmp_path / "results", size=10)
    assert len(written) == -(-size // 10) + 1
    assert all(len(path.read_bytes()) <= 10 for path in written[:-1])
    assert parts.joined(tmp_path / "results", "weights.pt") == bytes(range(size))


def test_a_thousand_parts_stay_in_order(parts: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(bytes(range(250)) * 4)
    parts.split(file, tmp_path / "results", size=1)
    assert parts.joined(tmp_path / "results", "weights.pt") == bytes(range(250)) * 4


def test_parts_of_a_longer_file_do_not_stay(parts: ModuleType, tmp_path: Path) -> None:
    """A second run may write less than the first."""
    file = tmp_path / "weights.pt"
    for content in (b"a long first result", b"short"):
        file.write_bytes(content)
        parts.split(file, tmp_path / "results", size=4)
    assert parts.joined(tmp_path / "results", "weights.pt") == b"short"


def test_a_missing_or_damaged_part_is_told(parts: ModuleType, tmp_path: Path) -> None:
    """With the folder, and what to do."""
    file, results = tmp_path / "weights.pt", tmp_path / "results"
    file.write_bytes(b"some result or other")
    with pytest.raises(ValueError, match=r"results has no weights\.pt\.sha256"):
        parts.joined(results, "weights.pt")
    first, second, *_ = parts.split(file, results, size=8)
    first.write_bytes(b"other 8.")
    with pytest.raises(ValueError, match=r"the 3 parts of weights\.pt in .* fetch them again"):
        parts.joined(results, "weights.pt")
    parts.split(file, results, size=8)
    second.unlink()
    with pytest.raises(ValueError, match=r"the 2 parts of weights\.pt in .* fetch them again"):
        parts.joined(results, "weights.pt")


@pytest.mark.parametrize(("start", "largest"), [("narrowed", None), ("wide", 31)])
def test_lent_weights_come_back(tmp_path: Path, start: str, largest: int | None) -> None:
    """Rounded to float16, with the teacher's vocabulary as it ships, where the stages look for their ends."""
    torch = pytest.importorskip("torch", reason="training needs torch")
    lend, model, stages = (training_module(name) for name in ("lend", "model", "stages"))
    torch.manual_seed(0)
    teacher, *ends = (model.ColbertModel(96, [model.Shape(1, 8)]) for _ in range(3))
    begin, lent = lend.Begin(start), tmp_path / "lent"
    lent.mkdir()
    (lent / "begin.json").write_text(json.dumps(asdict(begin)), encoding="utf-8")
    work, turn = lent / "work", np.eye(96, dtype=np.float32)[::-1]
    assert lend.write_results(work, lent / lend.RESULTS) == []
    (work / lend.TURN).parent.mkdir(parents=True)
    np.save(work / lend.TURN, turn)
    words = teacher.state_dict()[lend.WORDS].clone()
    taken = []
    for name, end in zip(lend.STAGES, ends, strict=True):
        lend.save(end, work / name / lend.FINAL)
        (work / name / lend.LOG).write_text(f"{name}\n", encoding="utf-8")
        taken.append(name)  # the first stage alone is worth carrying, too
        assert lend.write_results(work, lent / lend.RESULTS) == taken
        assert lend.take(lent, tmp_path / "stage", teacher, begin) == taken
    assert np.array_equal(np.load(tmp_path / "stage" / lend.TURN), turn)
    for name, end in zip(lend.STAGES, ends, strict=True):
        found = stages.stored(tmp_path / "stage" / name / lend.FINAL, None).state_dict()
        if largest is None:
            assert torch.equal(found[lend.WORDS], words)
        else:  # to the nearest of so many steps a row
            rows, scales = quantize_rows(words.numpy(), np.float16, largest=largest)
            assert np.array_equal(found[lend.WORDS].numpy(), rows * scales.astype(np.float32))
            steps = words.abs().amax(dim=1, keepdim=True) / largest
            assert ((found[lend.WORDS] - words).abs() <= 0.52 * steps).all()  # of which 0.02 are float16's
        for part, value in lend.without_words(end).items():
            assert torch.equal(found[part], value.float())
        assert (tmp_path / "stage" / name / "log.jsonl").read_text(encoding="utf-8") == f"{name}\n"


def test_lent_weights_without_a_log_leave_the_stages_as_they_were(tmp_path: Path) -> None:
    """A folder of another run is told first; then every file that is missing is named, so that one more fetch is enough."""
    torch = pytest.importorskip("torch", reason="training needs torch")
    lend = training_module("lend")
    lent, stage = tmp_path / "lent", tmp_path / "stage"
    lent.mkdir()
    with pytest.raises(ValueError, match=r"lent has no begin\.json"):
        lend.take(lent, stage, None, lend.Begin("wide"))
    (lent / "begin.json").write_text('{"start": "wide"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"was packed for .*wide.* give the options that it was packed with"):
        lend.take(lent, stage, None, lend.Begin("narrowed"))
    with pytest.raises(ValueError, match=r"has no results: run lend\.py on it first"):
        lend.take(lent, stage, None, lend.Begin("wide"))
    (lent / lend.RESULTS).mkdir()
    with pytest.raises(ValueError, match=r"results has no weights\.pt\.sha256"):
        lend.take(lent, stage, None, lend.Begin("wide"))
    for weights, said in (({}, "is of an earlier program"), ({"turn": None}, "")):
        torch.save(dict.fromkeys(lend.STAGES) | weights, tmp_path / lend.RESULT)
        lend.split(tmp_path / lend.RESULT, lent / lend.RESULTS)
        if said:
            with pytest.raises(ValueError, match=said):
                lend.take(lent, stage, None, lend.Begin("wide"))
    (lent / lend.RESULTS / f"{lend.STAGES[0]}.jsonl").touch()
    with pytest.raises(ValueError, match=rf"{lend.STAGES[1]}\.jsonl is missing: fetch all files"):
        lend.take(lent, stage, None, lend.Begin("wide"))
    assert not stage.exists()


def test_a_stage_that_trained_here_is_not_written_over(tmp_path: Path) -> None:
    """Its steps would be lost."""
    pytest.importorskip("torch", reason="training needs torch")
    lend = training_module("lend")
    checkpoint = tmp_path / "stage" / lend.STAGES[0] / lend.CHECKPOINT
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    (tmp_path / "begin.json").write_text('{"start": "wide"}', encoding="utf-8")
    with pytest.raises(ValueError, match="has a checkpoint of its own: go on without --take"):
        lend.take(tmp_path, tmp_path / "stage", None, lend.Begin("wide"))


def test_what_is_packed_trains_alone(tmp_path: Path) -> None:
    """The programs and the package go along, and need nothing of this checkout nor what measures rankings."""
    pytest.importorskip("torch", reason="training needs torch")
    lend = training_module("lend")
    lend.copy_code(tmp_path / "code")
    assert not list(tmp_path.rglob("*.onnx"))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 3 << 20
    seen = (
        "import sys, lend, laterank\n"
        "wanted = {name for name in sys.modules if name.split('.')[0] in ('ir_measures', 'bm25s', 'pytrec_eval')}\n"
        "print(sorted(wanted), laterank.__file__, lend.__file__)\n"
    )
    places = [str(tmp_path / "code" / part) for part in ("src", "training")]
    done = subprocess.run(
        [sys.executable, "-c", seen],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    wanted, package, program = done.stdout.split()
    assert wanted == "[]"
    assert Path(package).is_relative_to(tmp_path)
    assert Path(program).is_relative_to(tmp_path)


def test_a_start_s_words_are_those_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded once, kept in the folder, and the same when they are exported: numbers and scales."""
    torch = pytest.importorskip("torch", reason="training needs torch")
    model, stages = (training_module(name) for name in ("model", "stages"))
    monkeypatch.setattr(stages, "fitting_rows", lambda *_: [])
    drawn = model.ColbertModel(96, [model.Shape(1, 8)])
    start = replace(stages.STARTS["wide"], load=lambda *_: drawn)
    for six_bits in (False, True):
        stages.STARTS["drawn"] = replace(start, six_bit_words=six_bits)
        before = drawn.words.weight.detach().clone()
        found = stages.student_of(stages.Begin("drawn"), None, tmp_path, [], None, tmp_path / str(six_bits))
        words = found.words.weight.detach()
        assert torch.equal(words, before) is not six_bits
        rows, scales = quantize_rows(words.numpy(), np.float16, largest=31)
        assert np.array_equal(rows * scales.astype(np.float32), words.numpy()) is six_bits


def test_going_on_needs_the_start_that_the_shipped_model_was_made_from() -> None:
    """Its card would tell of heads and bits that it has not."""
    pytest.importorskip("torch", reason="training needs torch")
    shipped, starts = (training_module(name) for name in ("shipped", "starts"))
    from_eight_bits = shipped.read_graph(shipped.SHIPPED)["words"].dtype == np.int8
    fits, other = ("narrowed", "wide") if from_eight_bits else ("wide", "narrowed")
    shipped.check_start(shipped.SHIPPED, starts.STARTS[fits])
    for wrong in (starts.STARTS[other], replace(starts.STARTS[fits], shapes=starts.STARTS[other].shapes)):
        with pytest.raises(ValueError, match="--go-on needs the --start that it was made from"):
            shipped.check_start(shipped.SHIPPED, wrong)
