"""Both training stages from end to end, with networks of one layer: stopped, carried to another machine, and gone on with."""

import copy
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import training_module

from laterank.model.files import BUNDLED_FOLDER

torch = pytest.importorskip("torch", reason="training needs torch")

WORDS = ("mars", "venus", "earth", "moon", "red", "hot", "cold", "small", "bright", "ring")
TEXTS = [f"{one} is {two} and not {three}" for one in WORDS[:4] for two in WORDS[4:7] for three in WORDS[7:]]
PASSAGES, QUERIES = 16, 16


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Give the modules, with recipes of two shards and two steps, and everything that is slow or large replaced."""
    names = (
        "model",
        "data",
        "passages",
        "rows",
        "distil",
        "rank_distil",
        "stages",
        "lend",
    )  # each finds those before it
    modules = SimpleNamespace(**{name: training_module(name) for name in names})
    torch.manual_seed(0)
    teacher, student = (modules.model.ColbertModel(96, [modules.model.Shape(1, 8)]) for _ in range(2))
    recipe = partial(modules.distil.RowRecipe, shards=2, part_tokens=48)
    ranking = partial(modules.rank_distil.RankRecipe, examples=QUERIES, save_every=1)
    monkeypatch.setattr(modules.rows, "SHARD_PASSAGES", PASSAGES)
    monkeypatch.setattr(modules.stages, "RowRecipe", recipe)
    monkeypatch.setattr(modules.stages, "RankRecipe", ranking)
    monkeypatch.setattr(modules.stages, "student_of", lambda *_: copy.deepcopy(student))
    monkeypatch.setattr(modules.lend, "load_teacher", lambda _: copy.deepcopy(teacher).requires_grad_(False))
    passages = [modules.passages.Passage(text, text.split()[0]) for text in TEXTS[: 2 * PASSAGES]]
    examples = [
        modules.data.Example("kind", text.split()[0], TEXTS[number : number + 8], [0])
        for number, text in enumerate(TEXTS[:QUERIES])
    ]
    lessons = modules.stages.Lessons(passages, examples, torch.full((QUERIES, 8), 1 / 8), examples[:1])
    monkeypatch.setattr(modules.lend, "unpack", lambda _: lessons)
    modules.teacher = teacher
    yield modules
    modules.rows.SETTLED.clear()


def packed(folder: Path) -> Path:
    """Return a folder as a lent machine finds it."""
    folder.mkdir()
    shutil.copyfile(BUNDLED_FOLDER / "tokenizer.json", folder / "tokenizer.json")
    (folder / "begin.json").write_text('{"start": "wide"}', encoding="utf-8")
    return folder


def steps(log: Path) -> int:
    """Count the steps in a log."""
    return sum("loss" in json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())


def test_stages_end_where_time_is_over_and_go_on_elsewhere(
    small: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call makes at least one checkpoint; what a stage ended with goes along, what is in the middle of one stays."""
    lend, first = small.lend, packed(tmp_path / "first")
    for said, ended in (("time is over at distil 1", False), ("time is over at rank 1", True)):
        with pytest.raises(SystemExit, match=said):
            lend.train(first, stop_at=0.0)
        assert (first / lend.RESULTS).exists() is ended

    second = packed(tmp_path / "second")
    shutil.copytree(first / lend.RESULTS, second / lend.RESULTS)
    monkeypatch.setattr(small.stages, "student_of", lambda *_: pytest.fail("the first stage has ended"))
    lend.train(second, stop_at=None)
    assert not (second / "work" / lend.STAGES[0] / lend.CHECKPOINT).exists()
    turns = [np.load(folder / "work" / lend.TURN) for folder in (first, second)]
    assert np.array_equal(*turns)

    stage = tmp_path / "stage"
    assert lend.take(second, stage, small.teacher, lend.Begin("wide")) == list(lend.STAGES)
    rows, ranked = (lend.load(stage / name / lend.FINAL).state_dict() for name in lend.STAGES)
    here = lend.load(first / "work" / lend.STAGES[0] / lend.FINAL).state_dict()
    for name, value in rows.items():
        if name != lend.WORDS:
            torch.testing.assert_close(value, here[name].half().float())
    assert any(not torch.equal(ranked[name], value) for name, value in rows.items())
    assert steps(stage / lend.STAGES[1] / lend.LOG) == QUERIES // 8


def test_a_stage_that_was_stopped_ends_as_one_that_was_not(small: SimpleNamespace, tmp_path: Path) -> None:
    """The same weights, but for the order in which threads add."""
    lend = small.lend
    whole, halves = packed(tmp_path / "whole"), packed(tmp_path / "halves")
    lend.train(whole, stop_at=None)
    for _ in range(2):
        with pytest.raises(SystemExit):
            lend.train(halves, stop_at=0.0)
    lend.train(halves, stop_at=0.0)
    for name in lend.STAGES:
        one, other = (lend.load(folder / "work" / name / lend.FINAL) for folder in (whole, halves))
        for key, value in one.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value, atol=1e-4, rtol=1e-3)
