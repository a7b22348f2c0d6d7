"""Settings on disk -> ColbertConfig, for the four dialects."""

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import GOLDEN, edit_json

from laterank import ColbertConfig, ColbertEncoder, InputError, KnownModel, ModelFormatError, register_model
from laterank.model.registry import known_model, known_models
from laterank.model.settings import read_config

PUNCTUATION = tuple(string.punctuation)
SETTINGS = "config_sentence_transformers.json"


def test_pylate_settings_are_read() -> None:
    """Every setting of a PyLate folder arrives."""
    config = read_config(GOLDEN / "bert-pylate")
    assert (config.query_prefix, config.document_prefix) == ("[Q] ", "[D] ")
    assert (config.query_length, config.document_length) == (32, 48)
    assert config.query_expansion == "fixed"
    assert not config.attend_to_expansion_tokens
    assert config.skiplist_words == PUNCTUATION
    assert config.skiplist_match == "token"


def test_pylate_without_the_expansion_key_expands(copy_of: Callable[..., Path]) -> None:
    """PyLate wrote no do_query_expansion while it always expanded."""
    folder = copy_of()
    edit_json(folder / SETTINGS, remove=("do_query_expansion",))
    assert read_config(folder).query_expansion == "fixed"


def test_pylate_prompts_come_beside_the_marker() -> None:
    """A marker and a prompt both apply."""
    config = read_config(GOLDEN / "modernbert-pylate")
    assert (config.query_prefix, config.query_prompt) == ("[Q] ", "search_query: ")
    assert (config.document_prefix, config.document_prompt) == ("[D] ", "search_document: ")
    assert config.query_expansion == "none"


def test_multi_vector_encoder_settings_are_read() -> None:
    """sentence-transformers 6 spreads its settings over three files and writes the marker as a prompt."""
    config = read_config(GOLDEN / "bert-st6")
    assert (config.query_prefix, config.query_prompt) == ("[Q] ", "")
    assert (config.document_prefix, config.document_prompt) == ("[D] ", "")
    assert (config.query_expansion, config.query_length, config.document_length) == ("min", 32, 48)
    assert config.skiplist_words == PUNCTUATION


def test_multi_vector_encoder_mask_options_are_read(copy_of: Callable[..., Path]) -> None:
    """Allow-list, skiplist tasks and fixed expansion of the newer dialect arrive."""
    folder = copy_of("bert-st6")
    edit_json(
        folder / "2_MultiVectorMask" / "config.json",
        skiplist_words=["."],
        skiplist_tasks=["query", "document"],
        keep_only_token_ids=[5, 6],
    )
    edit_json(
        folder / "sentence_bert_config.json",
        query_expansion={"strategy": "fixed", "attend": True, "token": "[PAD]", "length": 16},
    )
    config = read_config(folder)
    assert (config.skiplist_words, config.skip_query, config.keep_only_token_ids) == ((".",), True, (5, 6))
    assert (config.query_expansion, config.query_length) == ("fixed", 16)
    assert (config.attend_to_expansion_tokens, config.expansion_token) == (True, "[PAD]")


def test_an_empty_task_list_and_an_empty_allow_list_mean_what_they_say(copy_of: Callable[..., Path]) -> None:
    """No task means no skiplist at all; an empty allow-list is none."""
    folder = copy_of("bert-st6")
    edit_json(folder / "2_MultiVectorMask" / "config.json", skiplist_tasks=[], keep_only_token_ids=[])
    config = read_config(folder)
    assert (config.skip_query, config.skip_document, config.keep_only_token_ids) == (False, False, None)


def test_multi_vector_encoder_without_expansion_takes_its_query_length(copy_of: Callable[..., Path]) -> None:
    """Without expansion the transformer's own query length is the ceiling."""
    folder = copy_of("bert-st6")
    edit_json(folder / "sentence_bert_config.json", query_expansion=None, query_length=40)
    config = read_config(folder)
    assert (config.query_expansion, config.query_length) == ("none", 40)


def test_stanford_settings_are_read() -> None:
    """artifact.metadata gives markers, lengths and punctuation by first piece."""
    config = read_config(GOLDEN / "bert-stanford")
    assert (config.query_prefix, config.document_prefix) == ("[unused0]", "[unused1]")
    assert (config.query_length, config.document_length) == (32, 48)
    assert config.query_expansion == "fixed"
    assert config.skiplist_match == "first_piece"
    assert read_config(GOLDEN / "xlmr-jina").attend_to_expansion_tokens


def test_stanford_without_punctuation_masking_has_no_skiplist(copy_of: Callable[..., Path]) -> None:
    """mask_punctuation false means that every token counts."""
    folder = copy_of("bert-stanford")
    edit_json(folder / "artifact.metadata", mask_punctuation=False)
    assert read_config(folder).skiplist_words == ()


def test_lighton_settings_are_read() -> None:
    """onnx_config.json gives ids, lower-casing and the embedding's size."""
    config = read_config(GOLDEN / "lighton")
    assert (config.query_prefix_id, config.document_prefix_id) == (427, 428)
    assert (config.do_lower_case, config.embedding_size, config.query_expansion) == (True, 16, "none")


def test_expansion_in_pylates_file_beats_the_exporters(copy_of: Callable[..., Path]) -> None:
    """The LightOn exporter writes do_query_expansion false whatever the model was trained with."""
    folder = copy_of("bert-pylate")
    shutil.copy(GOLDEN / "lighton" / "onnx_config.json", folder)
    assert read_config(folder).query_expansion == "fixed"


def test_a_contradiction_between_files_is_an_error_until_the_caller_settles_it(
    copy_of: Callable[..., Path],
) -> None:
    """Two files that disagree are named, with both values, and config= decides."""
    folder = copy_of("bert-pylate")
    shutil.copy(GOLDEN / "bert-stanford" / "artifact.metadata", folder)
    edit_json(folder / "artifact.metadata", query_token_id="[Q] ", doc_token_id="[D] ", doc_maxlen=90)
    with pytest.raises(ModelFormatError, match=r"document_length.*says 48.*artifact.metadata says 90"):
        read_config(folder)
    assert read_config(folder, given={"document_length": 48}).document_length == 48
    assert read_config(folder, registered={"document_length": 90}).document_length == 90


@pytest.mark.parametrize(
    ("name", "file", "key", "setting"),
    [
        ("bert-pylate", SETTINGS, "query_length", "query_length"),
        ("bert-pylate", SETTINGS, "document_prefix", "document_prefix"),
        ("bert-stanford", "artifact.metadata", "doc_maxlen", "document_length"),
        ("bert-stanford", "artifact.metadata", "query_token_id", "query_prefix"),
        ("lighton", "onnx_config.json", "document_length", "document_length"),
        ("lighton", "onnx_config.json", "do_query_expansion", "query_expansion"),
    ],
)
def test_a_missing_setting_names_file_and_field(
    copy_of: Callable[..., Path], name: str, file: str, key: str, setting: str
) -> None:
    """The error says which file lacks what, and how to pass it."""
    folder = copy_of(name)
    edit_json(folder / file, remove=(key,))
    with pytest.raises(ModelFormatError, match=rf"{file}.*lacks.*config=\{{\"{setting}\"") as raised:
        read_config(folder)
    assert str(folder) in str(raised.value)


def test_a_missing_setting_can_be_passed(copy_of: Callable[..., Path]) -> None:
    """What the error tells to do works."""
    folder = copy_of()
    edit_json(folder / SETTINGS, remove=("query_length",))
    assert read_config(folder, given={"query_length": 24}).query_length == 24


def test_a_setting_of_the_wrong_type_names_the_file(copy_of: Callable[..., Path]) -> None:
    """A length written as text is not silently converted."""
    folder = copy_of()
    edit_json(folder / SETTINGS, query_length="32")
    with pytest.raises(ModelFormatError, match=r"config_sentence_transformers.json: query_length is '32'"):
        read_config(folder)


@pytest.mark.parametrize(
    ("name", "file", "changes"),
    [
        ("bert-pylate", SETTINGS, {"query_prefix": 5}),
        ("bert-pylate", SETTINGS, {"prompts": {"query": 5}}),
        ("bert-pylate", SETTINGS, {"do_query_expansion": "false"}),
        ("bert-st6", "2_MultiVectorMask/config.json", {"skiplist_tasks": 5}),
        ("bert-st6", "tokenizer.json", {"added_tokens": [{}]}),
        ("lighton", "onnx_config.json", {"do_query_expansion": "no"}),
    ],
)
def test_values_of_the_wrong_type_are_named(
    copy_of: Callable[..., Path], name: str, file: str, changes: dict[str, object]
) -> None:
    """No wrong value in a model's files ends in a bare traceback, and "false" is not true."""
    folder = copy_of(name)
    edit_json(folder / file, **changes)
    with pytest.raises(ModelFormatError, match=str(folder)):
        read_config(folder)


@pytest.mark.parametrize("content", ["{", "[]", '"text"', "\x00", "[" * 100_000, "1" * 5000])
def test_a_broken_json_file_is_named(copy_of: Callable[..., Path], content: str) -> None:
    """Broken JSON is told apart from a missing setting."""
    folder = copy_of()
    (folder / SETTINGS).write_text(content)
    with pytest.raises(ModelFormatError, match=SETTINGS):
        read_config(folder)


def test_an_unknown_dialect_names_every_one_tried(tmp_path: Path) -> None:
    """The error lists what was looked for."""
    with pytest.raises(
        ModelFormatError, match=r"PyLate.*MultiVectorEncoder.*onnx_config.json.*artifact.metadata"
    ):
        read_config(tmp_path)


def test_a_plain_sentence_transformers_folder_is_no_colbert_model(copy_of: Callable[..., Path]) -> None:
    """A dense model's file has the same name and none of the settings."""
    folder = copy_of()
    (folder / SETTINGS).write_text(json.dumps({"prompts": {}, "model_type": "SentenceTransformer"}))
    with pytest.raises(ModelFormatError, match="no known dialect"):
        read_config(folder)


def test_lengths_beyond_the_networks_positions_are_refused() -> None:
    """Position 129 of 128 would crash in the middle of a run; the config says so first."""
    with pytest.raises(ModelFormatError, match=r"document_length is 4096.*positions"):
        read_config(GOLDEN / "bert-pylate", given={"document_length": 4096})


def test_roberta_positions_leave_out_the_padding_offset() -> None:
    """XLM-R counts its positions from the padding id on."""
    raw = json.loads((GOLDEN / "xlmr-jina" / "config.json").read_text())
    config = read_config(GOLDEN / "xlmr-jina")
    assert config.max_length == raw["max_position_embeddings"] - raw["pad_token_id"] - 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query_size": 3}, "no such setting: 'query_size'"),
        ({"query_length": True}, "query_length is True"),
        ({"query_length": 2}, "at least 8"),
        ({"query_expansion": "maximal"}, "'fixed', 'min', 'none'"),
        ({"skiplist_words": (1,)}, "skiplist_words holds 1"),
        ({"query_prefix": 7}, "query_prefix is 7"),
    ],
)
def test_wrong_settings_of_the_caller_are_refused(settings: dict[str, object], message: str) -> None:
    """A typo or a wrong type in config= is an error of the call, not of the model."""
    with pytest.raises(InputError, match=message):
        read_config(GOLDEN / "bert-pylate", given=settings)


def test_a_whole_config_replaces_the_files(copy_of: Callable[..., Path]) -> None:
    """A folder without settings works with a ColbertConfig."""
    folder = copy_of()
    (folder / SETTINGS).unlink()
    config = ColbertConfig(query_prefix="[Q] ", document_prefix="[D] ", query_length=32, document_length=48)
    encoder = ColbertEncoder.from_pretrained(folder, config=config)
    reference = ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate")
    assert (encoder.encode_queries(["red planet"])[0] == reference.encode_queries(["red planet"])[0]).all()


def test_a_whole_config_knows_the_networks_positions() -> None:
    """A length that the network cannot hold is found there, too."""
    config = ColbertConfig(query_prefix="[Q] ", document_prefix="[D] ", query_length=32, document_length=4096)
    with pytest.raises(InputError, match=r"document_length is 4096.*128 positions"):
        ColbertEncoder.from_pretrained(GOLDEN / "bert-pylate", config=config)


@pytest.mark.parametrize(
    ("file", "changes"),
    [(SETTINGS, {"prompts": ["x"]}), ("sentence_bert_config.json", {"query_expansion": True})],
)
def test_settings_of_the_wrong_shape_name_the_file(
    copy_of: Callable[..., Path], file: str, changes: dict[str, object]
) -> None:
    """A list where an object belongs is no traceback."""
    folder = copy_of("bert-st6")
    edit_json(folder / file, **changes)
    with pytest.raises(ModelFormatError, match=f"{file}.*expected an object"):
        read_config(folder)


# Model, query marker, query length, document length, expansion, attended; "file" where the model's own files decide.
PUBLISHED = [
    ("colbert-ir/colbertv2.0", "file", 32, 180, "file", False),
    ("lightonai/colbertv2.0", "file", 32, 300, "file", False),
    ("answerdotai/answerai-colbert-small-v1", "file", 32, 300, "file", False),
    ("jinaai/jina-colbert-v2", 250002, 32, 8192, "file", True),
    ("lightonai/GTE-ModernColBERT-v1", "file", 48, 300, "none", False),
    ("lightonai/LateOn", "file", "file", 300, "none", False),
    ("lightonai/mLateOn", "file", "file", 8192, "none", False),
    ("lightonai/LateOn-Code", "file", 256, 2048, "none", False),
    ("lightonai/LateOn-Code-edge", "file", 256, 2048, "none", False),
    ("mixedbread-ai/mxbai-edge-colbert-v0-17m", "file", 48, 512, "none", False),
    ("mixedbread-ai/mxbai-edge-colbert-v0-32m", "file", 48, 512, "none", False),
    ("LiquidAI/LFM2-ColBERT-350M", "file", 32, "file", "fixed", "file"),
]


@pytest.mark.parametrize(("name", "marker", "query", "document", "expansion", "attended"), PUBLISHED)
def test_the_registry_says_what_was_published(
    name: str, marker: object, query: object, document: object, expansion: object, attended: object
) -> None:
    """What models were trained with, where their files are known to leave it out or get it wrong."""
    known = known_model(name)
    assert known is not None
    said = {"query_prefix_id": marker, "query_length": query, "document_length": document}
    said |= {"query_expansion": expansion, "attend_to_expansion_tokens": attended}
    for setting, expected in said.items():
        assert known.settings.get(setting, "file") == expected, setting


def test_a_repository_that_speaks_two_dialects_loads_under_its_registry_entry(
    copy_of: Callable[..., Path],
) -> None:
    """LateOn has PyLate's file and the exporter's; answerai has PyLate's and Stanford's."""
    folder = copy_of("bert-pylate")
    shutil.copy(GOLDEN / "lighton" / "onnx_config.json", folder)
    known = known_model("lightonai/LateOn")
    assert known is not None
    config = read_config(folder, registered={**known.settings, "document_length": 48})
    assert (config.query_expansion, config.query_prefix, config.query_length) == ("none", "[Q] ", 32)


def test_the_registry_knows_the_models_that_people_use() -> None:
    """Names are found whatever their case, with licence and size."""
    assert len(known_models()) >= 15
    jina = known_model("JinaAI/jina-colbert-v2")
    assert jina is not None
    assert (jina.commercial_use, jina.settings["matryoshka_dims"]) == (False, (128, 96, 64))
    assert known_model("nobody/nothing") is None


def test_every_registered_setting_is_a_real_one() -> None:
    """A typo in the registry would be found by the first user of that model."""
    for model in known_models():
        register_model(model)


def test_registering_a_model_with_a_wrong_setting_is_refused() -> None:
    """The registry checks names and types at once."""
    wrong = KnownModel(
        name="a/b", licence="MIT", embedding_size=8, parameters_millions=1, settings={"lenght": 3}
    )
    with pytest.raises(InputError, match="no such setting: 'lenght'"):
        register_model(wrong)
