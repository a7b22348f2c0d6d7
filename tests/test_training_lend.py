"""What a lent machine trained comes back in parts: whole, or not at all."""

import json
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
    weights = {name: lend.without_words(end) for name, end in zip(lend.STAGES, ends, strict=True)}
    torch.save(weights, tmp_path / lend.RESULT)
    lend.split(tmp_path / lend.RESULT, tmp_path / "lent" / lend.RESULTS)
    begin = lend.Begin(start)
    (tmp_path / "lent" / "begin.json").write_text(json.dumps(asdict(begin)), encoding="utf-8")
    for name in lend.STAGES:
        (tmp_path / "lent" / lend.RESULTS / f"{name}.jsonl").write_text(f"{name}\n", encoding="utf-8")
    words = teacher.state_dict()[lend.WORDS].clone()
    lend.take(tmp_path / "lent", tmp_path / "stage", teacher, begin)
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
    pytest.importorskip("torch", reason="training needs torch")
    lend = training_module("lend")
    (tmp_path / "lent" / lend.RESULTS).mkdir(parents=True)
    (tmp_path / "lent" / lend.RESULTS / f"{lend.STAGES[0]}.jsonl").touch()
    with pytest.raises(ValueError, match=r"lent has no begin\.json"):
        lend.take(tmp_path / "lent", tmp_path / "stage", None, lend.Begin("wide"))
    (tmp_path / "lent" / "begin.json").write_text('{"start": "wide"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"was packed for .*wide.* give the options that it was packed with"):
        lend.take(tmp_path / "lent", tmp_path / "stage", None, lend.Begin("narrowed"))
    with pytest.raises(ValueError, match=rf"{lend.STAGES[1]}\.jsonl is missing: fetch all files"):
        lend.take(tmp_path / "lent", tmp_path / "stage", None, lend.Begin("wide"))
    assert not (tmp_path / "stage").exists()


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
