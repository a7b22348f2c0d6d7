"""What a lent machine trained comes back in parts: whole, or not at all."""

from pathlib import Path
from types import ModuleType

import pytest
from conftest import training_module


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
    (tmp_path / "lent" / "begin.json").write_text(f'{{"start": "{start}"}}', encoding="utf-8")
    for name in lend.STAGES:
        (tmp_path / "lent" / lend.RESULTS / f"{name}.jsonl").write_text(f"{name}\n", encoding="utf-8")
    words = teacher.state_dict()[lend.WORDS].clone()
    lend.take(tmp_path / "lent", tmp_path / "stage", teacher)
    for name, end in zip(lend.STAGES, ends, strict=True):
        found = stages.stored(tmp_path / "stage" / name / lend.FINAL, None).state_dict()
        if largest is None:
            assert torch.equal(found[lend.WORDS], words)
        else:  # to the nearest of so many steps a row
            steps = words.abs().amax(dim=1, keepdim=True) / largest
            assert ((found[lend.WORDS] - words).abs() <= 0.5001 * steps).all()
            whole = found[lend.WORDS] / steps
            assert (whole - whole.round()).abs().max() < 1e-4
        for part, value in lend.without_words(end).items():
            assert torch.equal(found[part], value.float())
        assert (tmp_path / "stage" / name / "log.jsonl").read_text(encoding="utf-8") == f"{name}\n"


def test_lent_weights_without_a_log_leave_the_stages_as_they_were(tmp_path: Path) -> None:
    """Every file that is missing is named, so that one more fetch is enough."""
    pytest.importorskip("torch", reason="training needs torch")
    lend = training_module("lend")
    (tmp_path / "lent" / lend.RESULTS).mkdir(parents=True)
    (tmp_path / "lent" / lend.RESULTS / f"{lend.STAGES[0]}.jsonl").touch()
    with pytest.raises(ValueError, match=rf"{lend.STAGES[1]}\.jsonl is missing: fetch all files"):
        lend.take(tmp_path / "lent", tmp_path / "stage", None)
    assert not (tmp_path / "stage").exists()
