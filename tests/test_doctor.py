"""Faults planted in a model's folder: each is found, named, and given its cure; what is left is still looked at."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphs
import pytest
from conftest import TINY_MODELS, edit_json, write_tensors

from laterank import ColbertEncoder, ModelFormatError
from laterank.diagnosis.doctor import Diagnosis, diagnose
from laterank.diagnosis.finding import Finding
from laterank.diagnosis.golden import record_golden
from laterank.model.files import BUNDLED_FOLDER
from laterank.model.golden import GOLDEN_FILE, read_golden, write_golden

SETTINGS = "config_sentence_transformers.json"
GRAPH = "onnx/model.onnx"
RECORDED = {"recorded settings", "recorded tokens", "golden scores"}


@pytest.fixture
def folder(copy_of: Callable[..., Path]) -> Path:
    """Return a model that works, with a record of what it gives."""
    copied = copy_of("bert-pylate")
    tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = None  # this model was published with both
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    write_golden(copied / GOLDEN_FILE, record_golden(ColbertEncoder.from_pretrained(copied)))
    return copied


def of(diagnosis: Diagnosis, check: str) -> Finding:
    """Return the finding of one check."""
    [found] = [finding for finding in diagnosis.findings if finding.check == check]
    return found


def failures(diagnosis: Diagnosis) -> list[str]:
    """Return the names of the checks that failed."""
    return [finding.check for finding in diagnosis.findings if finding.status == "failed"]


def edit_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change tokenizer.json in place."""
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


# --- the faults ---------------------------------------------------------------------------------------------------


def lose_projection_weights(folder: Path) -> None:
    (folder / "1_Dense" / "model.safetensors").unlink()


def lose_projection(folder: Path) -> None:
    shutil.rmtree(folder / "1_Dense")


def state_another_projection(folder: Path) -> None:
    edit_json(folder / "1_Dense" / "config.json", out_features=99)


def take_another_projection(folder: Path) -> None:
    edit_json(folder / "1_Dense" / "config.json", in_features=24)
    write_tensors(folder / "1_Dense" / "model.safetensors", {"linear.weight": np.ones((16, 24))})


def name_another_marker(folder: Path) -> None:
    edit_json(folder / SETTINGS, query_prefix="[Question]")


def lose_the_mask_token(folder: Path) -> None:
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        edit_json(folder / name, mask_token="[NOMASK]")


def leave_padding(folder: Path) -> None:
    truncation = {"direction": "Right", "max_length": 31, "strategy": "LongestFirst", "stride": 0}
    edit_tokenizer(folder, lambda raw: raw.update(truncation=truncation))


def cut_the_graph(folder: Path) -> None:
    content = (folder / GRAPH).read_bytes()
    (folder / GRAPH).write_bytes(content[: len(content) // 2])


def spoil_the_graph(folder: Path) -> None:
    (folder / GRAPH).write_bytes(np.random.default_rng(0).bytes(10_000))


def empty_the_graph(folder: Path) -> None:
    (folder / GRAPH).write_bytes(b"")


def lose_the_graph(folder: Path) -> None:
    (folder / GRAPH).unlink()


def take_a_pointer_for_the_graph(folder: Path) -> None:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 133000000\n"
    (folder / GRAPH).write_text(text)


def take_a_web_page_for_the_projection(folder: Path) -> None:
    (folder / "1_Dense" / "model.safetensors").write_text("<!DOCTYPE html><html>Sign in</html>")


def lose_the_weights(folder: Path) -> None:
    onnx_graphs.with_external_data(folder / GRAPH)
    (folder / f"{GRAPH}_data").unlink()


def cut_the_weights(folder: Path) -> None:
    onnx_graphs.with_external_data(folder / GRAPH)
    content = (folder / f"{GRAPH}_data").read_bytes()
    (folder / f"{GRAPH}_data").write_bytes(content[:1000])


def mix_the_batch(folder: Path) -> None:
    onnx_graphs.with_rows_relative_to_the_batch(folder / GRAPH)
    (folder / GOLDEN_FILE).unlink()


def ignore_the_mask(folder: Path) -> None:
    onnx_graphs.with_attention_mask_ignored(folder / GRAPH)
    (folder / GOLDEN_FILE).unlink()


def give_nan(folder: Path) -> None:
    onnx_graphs.with_nan_output(folder / GRAPH)


def give_zeros(folder: Path) -> None:
    onnx_graphs.with_zero_output(folder / GRAPH)


def pool_the_rows(folder: Path) -> None:
    onnx_graphs.with_pooled_output_only(folder / GRAPH)


def skip_words(folder: Path) -> None:
    edit_json(folder / SETTINGS, skiplist_words=["mars", "is", "the"])


def skip_nothing(folder: Path) -> None:
    edit_json(folder / SETTINGS, skiplist_words=[])


def add_a_token(folder: Path) -> None:
    def add(raw: dict[str, Any]) -> None:
        last = max(token["id"] for token in raw["added_tokens"])
        largest = max(last, *raw["model"]["vocab"].values())
        raw["added_tokens"].append({**raw["added_tokens"][0], "id": largest + 1, "content": "[NEW]"})

    edit_tokenizer(folder, add)


def exchange_the_markers(folder: Path) -> None:
    edit_json(folder / SETTINGS, query_prefix="[D] ", document_prefix="[Q] ")


def lose_a_setting(folder: Path) -> None:
    edit_json(folder / SETTINGS, remove=("query_length",))


def break_the_settings(folder: Path) -> None:
    (folder / SETTINGS).write_text("{")


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def keep_the_case(folder: Path) -> None:
    edit_tokenizer(folder, lambda raw: raw["normalizer"].update(lowercase=False))


def train_the_projection_further(folder: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(16, 32))
    write_tensors(folder / "1_Dense" / "model.safetensors", {"linear.weight": noise})


def name_a_step_that_is_not_there(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"idx": 9, "type": "x.WeightedPooling", "path": "9"}])
    )


FAULTS = [
    (lose_projection_weights, "projection", "model.safetensors is missing", "copy 1_Dense/"),
    (lose_projection, "settings", "names the layer", "copy"),
    (state_another_projection, "projection", "holds a .* matrix", "config.json and weights together"),
    (take_another_projection, "projection", "gives 32 numbers a token, expected 16", "add the projection"),
    (name_another_marker, "tokenizer", r"lacks the token '\[Question\]'", 'pass config={"query_prefix"'),
    (lose_the_mask_token, "tokenizer", r"no mask token '\[NOMASK\]'", '"expansion_token"'),
    (cut_the_graph, "graph", "cannot be loaded", "ended early: download or copy it again"),
    (spoil_the_graph, "graph", "cannot be loaded", "download or copy it again"),
    (empty_the_graph, "file onnx/model.onnx", "is empty", "download or copy it again"),
    (lose_the_graph, "files", "has none of", "export"),
    (take_a_pointer_for_the_graph, "file onnx/model.onnx", "Git LFS pointer.*133000000", "git lfs pull"),
    (take_a_web_page_for_the_projection, "file 1_Dense/model.safetensors", "is a web page", "/resolve/"),
    (
        lose_the_weights,
        "weights model.onnx_data",
        "keeps its weights in model.onnx_data",
        "next to the graph",
    ),
    (cut_the_weights, "weights model.onnx_data", "has 1000 bytes at least", "download or copy it again"),
    (mix_the_batch, "batch invariance", "change by .* with what is beside it", "tokens_per_batch=1"),
    (ignore_the_mask, "attention mask", "ignores its attention_mask", "export the graph again"),
    (give_nan, "rows", "NaN", "another onnx_file"),
    (give_zeros, "rows", "rows are zero", "another onnx_file"),
    (pool_the_rows, "graph", "it is no token encoder", "last_hidden_state"),
    (skip_nothing, "recorded settings", "skiplist_words is ", "skiplist_words"),
    (add_a_token, "vocabulary", r"1 tokens cannot be read, such as '\[NEW\]'", "resize_token_embeddings"),
    (
        exchange_the_markers,
        "markers",
        "as if they were exchanged",
        "exchange query_prefix and document_prefix",
    ),
    (exchange_the_markers, "recorded settings", r"query_prefix is '\[D\] '", "exchange query_prefix"),
    (lose_a_setting, "settings", 'lacks "query_length"', 'config={"query_length"'),
    (break_the_settings, f"file {SETTINGS}", "cannot be read as JSON", "download or copy it again"),
    (lose_the_tokenizer, "files", "has no tokenizer.json", "save_pretrained"),
    (keep_the_case, "recorded tokens", "token ids of 'Which planet", "copy tokenizer.json"),
    (
        train_the_projection_further,
        "golden scores",
        "a score is .* off",
        "download the graph and the projection",
    ),
    (name_a_step_that_is_not_there, "settings", "WeightedPooling", "take the module out"),
]
"""What is broken, the check that says so, what it found and expected, and what to do."""


@pytest.mark.parametrize(
    ("plant", "check", "found", "cure"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_fault_is_found_with_its_cure(
    folder: Path, plant: Callable[[Path], None], check: str, found: str, cure: str
) -> None:
    """By the check that is for it, in words that name it, with what to do; what is whole is not blamed."""
    plant(folder)
    diagnosis = diagnose(folder, threads=1)
    finding = of(diagnosis, check)
    assert finding.status == "failed"
    assert not diagnosis.healthy
    assert re.search(found, f"{finding.found} {finding.expected}"), finding
    assert cure in finding.cure, finding
    meant = {other for fault, other, _, _ in FAULTS if fault is plant}
    assert set(failures(diagnosis)) <= meant | (RECORDED if meant & {"markers", *RECORDED} else set())


def test_a_whole_model_is_well(folder: Path) -> None:
    """No check fails, and the scores are those that were recorded."""
    diagnosis = diagnose(folder, threads=1)
    assert diagnosis.healthy, failures(diagnosis)
    assert of(diagnosis, "golden scores").status == "ok"
    assert {finding.status for finding in diagnosis.findings if finding.check != "answers"} == {"ok"}


@pytest.mark.parametrize("name", TINY_MODELS)
def test_every_shape_of_published_models_is_well(copy_of: Callable[..., Path], name: str) -> None:
    """Nothing fails on any dialect, tokenizer or graph that is right."""
    assert failures(diagnose(copy_of(name), threads=1)) == []


def test_the_bundled_model_scores_what_was_recorded() -> None:
    """A new model needs a new record: laterank doctor --record."""
    diagnosis = diagnose()
    assert [finding for finding in diagnosis.findings if finding.status != "ok"] == []
    assert of(diagnosis, "golden scores").status == "ok"


def test_a_copy_of_the_bundled_model_is_well(tmp_path: Path) -> None:
    """What only the registry knows of it is no difference from what was recorded."""
    diagnosis = diagnose(shutil.copytree(BUNDLED_FOLDER, tmp_path / "copy"), threads=1)
    assert diagnosis.healthy, failures(diagnosis)
    assert of(diagnosis, "golden scores").status == "ok"


FILES = (
    "config.json",
    SETTINGS,
    "modules.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "1_Dense/config.json",
)


@pytest.mark.parametrize("name", [*FILES, "1_Dense/model.safetensors", GRAPH, GOLDEN_FILE])
def test_no_content_of_a_file_is_too_strange(folder: Path, name: str) -> None:
    """Whatever a file holds is a finding, never an exception."""
    for content in (b"[{}]", b"\xff\x00", b'{"model": 1, "added_tokens": [{}]}'):
        (folder / name).write_bytes(content)
        assert diagnose(folder, threads=1).findings


def test_left_over_padding_and_truncation_is_a_warning(folder: Path) -> None:
    """laterank is right all the same; other libraries are not."""
    leave_padding(folder)
    diagnosis = diagnose(folder, threads=1)
    finding = of(diagnosis, "padding and truncation")
    assert (finding.status, diagnosis.healthy) == ("warning", True)
    assert "31 tokens" in finding.found
    assert "no_truncation" in finding.cure


def test_a_skiplist_of_words_is_a_warning(folder: Path) -> None:
    """Without a record nothing tells for sure, and words are no punctuation."""
    skip_words(folder)
    (folder / GOLDEN_FILE).unlink()
    finding = of(diagnose(folder, threads=1), "skiplist")
    assert finding.status == "warning"
    assert "'mars'" in finding.found
    assert "string.punctuation" in finding.cure


def test_a_skiplist_of_another_vocabulary_is_a_warning(folder: Path) -> None:
    """Signs that are no tokens drop nothing."""
    edit_json(folder / SETTINGS, skiplist_words=["Ġ.", "Ġ,", "Ġ!"])
    (folder / GOLDEN_FILE).unlink()
    finding = of(diagnose(folder, threads=1), "skiplist")
    assert finding.status == "warning"
    assert "drop nothing" in finding.found


def test_a_graph_that_quantises_the_batch_is_encoded_one_text_a_run(copy_of: Callable[..., Path]) -> None:
    """It is a fault of the graph that laterank works around, and says so."""
    finding = of(diagnose(copy_of("lighton"), quantized=True, threads=1), "batch invariance")
    assert finding.status == "ok"
    assert "one text a run" in finding.found


def test_the_cure_for_a_mixed_batch_cures_it(folder: Path) -> None:
    """tokens_per_batch=1 is what the finding says, and rows are then the same alone and together."""
    texts = ["mars is red", "venus is hot", "the sea is deep"]
    alone = [ColbertEncoder.from_pretrained(folder).encode_documents([text])[0] for text in texts]
    mix_the_batch(folder)
    cured = ColbertEncoder.from_pretrained(folder, tokens_per_batch=1)
    together, one_by_one = (
        cured.encode_documents(texts),
        [cured.encode_documents([text])[0] for text in texts],
    )
    for rows, own in zip(together, one_by_one, strict=True):
        np.testing.assert_array_equal(rows, own)
    assert len(alone) == len(together)


def test_two_faults_are_found_at_once(folder: Path) -> None:
    """A missing marker hides neither the graph nor its vocabulary."""
    name_another_marker(folder)
    cut_the_graph(folder)
    assert {"tokenizer", "graph"} <= set(failures(diagnose(folder, threads=1)))


def test_a_missing_tokenizer_does_not_hide_the_graph(folder: Path) -> None:
    """What can still be looked at is."""
    lose_the_tokenizer(folder)
    pool_the_rows(folder)
    assert failures(diagnose(folder, threads=1)) == ["files", "graph"]


def test_a_record_is_read_as_it_was_written(folder: Path) -> None:
    """And a broken one is named."""
    written = record_golden(ColbertEncoder.from_pretrained(folder))
    write_golden(folder / GOLDEN_FILE, written)
    assert read_golden(folder / GOLDEN_FILE).queries == written.queries
    assert read_golden(folder / GOLDEN_FILE).scores == written.scores
    for text, message in (
        ('{"format": 2}', "this laterank reads 1"),
        ('{"format": 1}', "no record of scores"),
    ):
        (folder / GOLDEN_FILE).write_text(text)
        with pytest.raises(ModelFormatError, match=message):
            read_golden(folder / GOLDEN_FILE)
        assert of(diagnose(folder, threads=1), "golden scores").status == "failed"


def test_nothing_is_written_into_the_models_folder(folder: Path) -> None:
    """A diagnosis only looks."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    diagnose(folder, threads=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
