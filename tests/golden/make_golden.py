"""Make the tiny models and the golden arrays of this folder; see README.md for the environments and the commands.

`pylate` (environment A) builds bert-pylate, bert-stanford, xlmr-jina, modernbert-pylate and lighton and encodes
texts.json with PyLate. `st6` (environment B), run after it, builds bert-st6 and encodes texts.json with
sentence-transformers 6 for every folder that it loads. Both write `<folder>/golden.npz`.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import shutil
import string
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))
CORPUS = (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines()
HIDDEN = 32
DIM = 16
QUERY_LENGTH = 32
DOCUMENT_LENGTH = 48
MAX_POSITIONS = 128
PUNCTUATION = list(string.punctuation)


# ---------------------------------------------------------------- tokenizers


def template(tokenizer: Tokenizer, start: str, end: str) -> processors.PostProcessor:
    """Return the post-processor that adds the start and the end token."""
    ids = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    pair = f"{start}:0 $A:0 {end}:0 $B:1 {end}:1"
    return processors.TemplateProcessing(single=f"{start}:0 $A:0 {end}:0", pair=pair, special_tokens=ids)


def pieces(words: Counter[str], *, start: str, inner: str, count: int) -> dict[str, int]:
    """Return the `count` most useful pieces of the words and every character, with their frequencies.

    The trainers of `tokenizers` give another WordPiece and another Unigram vocabulary at each run; this does not.
    `start` and `inner` mark a piece that begins a word and one that does not.
    """
    found: Counter[str] = Counter()
    single: Counter[str] = Counter()
    for word, times in words.items():
        for first in range(len(word)):
            mark = inner if first else start
            single[mark + word[first]] += times
            for last in range(first + 2, len(word) + 1):
                found[mark + word[first:last]] += times
    best = sorted(found, key=lambda piece: (-found[piece] * (len(piece) - len(inner)) ** 2, piece))[:count]
    return {piece: (single | found)[piece] for piece in sorted(set(single) | set(best))}


def corpus_words(
    normalizer: normalizers.Normalizer, pre_tokenizer: pre_tokenizers.PreTokenizer
) -> Counter[str]:
    """Count the corpus' words as the tokenizer will see them."""
    lines = [pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(line)) for line in CORPUS]
    return Counter(word for line in lines for word, _ in line)


def wordpiece(*, lowercase: bool) -> Tokenizer:
    """Return a BERT tokenizer; its ids 1 and 2 are [unused0] and [unused1], as in the published vocabularies."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    words = corpus_words(normalizer, pre_tokenizers.BertPreTokenizer())
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    known = pieces(words, start="", inner="##", count=130)
    vocabulary = special + PUNCTUATION + [piece for piece in known if piece not in PUNCTUATION]
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    # As published: the [unusedN] are plain entries, not added tokens.
    tokenizer.add_special_tokens([name for name in special if not name.startswith("[unused")])
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def unigram() -> Tokenizer:
    """Return an XLM-R shaped tokenizer with two marker tokens after <mask>, the last entry of its vocabulary."""
    normalizer = normalizers.NFKC()
    words = corpus_words(normalizer, pre_tokenizers.WhitespaceSplit())
    known = pieces(words, start="\u2581", inner="", count=100)
    characters = {*PUNCTUATION, "\u2581", *(character for word in words for character in word)}
    total = sum(known.values())
    scores = dict.fromkeys(characters, -12.0)
    scores |= {piece: math.log(times / total) for piece, times in known.items() if len(piece) > 1}
    vocabulary = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")] + sorted(scores.items())
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    markers = ("[QueryMarker]", "[DocumentMarker]")
    tokenizer.add_special_tokens([AddedToken(marker, special=True, normalized=False) for marker in markers])
    tokenizer.post_processor = template(tokenizer, "<s>", "</s>")
    return tokenizer


def byte_level() -> Tokenizer:
    """Return a ModernBERT shaped tokenizer: byte-level BPE, runs of spaces and the special tokens at the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=440, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in (4, 2)])
    names = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False, lstrip=name == "[MASK]") for name in names]
    )
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


BERT_NAMES = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
XLMR_NAMES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


def save_tokenizer(
    folder: Path, tokenizer: Tokenizer, names: dict[str, str], *, tokenizer_class: str, **extra: object
) -> None:
    """Write the three tokenizer files as transformers 4 did, the shape of most published repositories."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    added = {
        str(token_id): {flag: getattr(token, flag) for flag in flags}
        for token_id, token in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    config = {"added_tokens_decoder": added, "clean_up_tokenization_spaces": True, **names, **extra}
    config |= {"model_max_length": MAX_POSITIONS, "tokenizer_class": tokenizer_class}
    write_json(folder / "tokenizer_config.json", dict(sorted(config.items())))
    special_map = {
        key: {flag: added[str(tokenizer.token_to_id(name))][flag] for flag in flags[:-1]}
        for key, name in sorted(names.items())
    }
    if "additional_special_tokens" in extra:
        special_map["additional_special_tokens"] = extra["additional_special_tokens"]
    write_json(folder / "special_tokens_map.json", special_map)


def serialise_padding(
    tokenizer: Tokenizer, pad_token: str, *, length: int | None, max_length: int
) -> Tokenizer:
    """Return a copy that pads and truncates, as the tokenizer.json files saved after a use with PyLate do."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.enable_padding(pad_id=copy.token_to_id(pad_token), pad_token=pad_token, length=length)
    copy.enable_truncation(max_length)
    return copy


def write_json(path: Path, value: object) -> None:
    """Write indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ------------------------------------------------------------------- weights


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Fill every parameter from one seed, wide enough that the rows of different tokens differ clearly."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name.lower():
                value = 1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
            elif "embedding" in name:
                small = "position" in name or "token_type" in name
                value = noise * (0.4 if small else 1.0)
            elif parameter.dim() == 2:
                value = noise * 1.3 / parameter.shape[1] ** 0.5
            else:
                value = 0.2 * noise
            parameter.copy_(value)


def tiny_bert(tokenizer: Tokenizer, seed: int) -> BertModel:
    """Return a BERT with two layers."""
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=MAX_POSITIONS, pad_token_id=0, **sizes
    )
    model = BertModel(config).eval()
    randomise(model, seed)
    return model


def tiny_xlmr(tokenizer: Tokenizer, seed: int) -> XLMRobertaModel:
    """Return an XLM-R with two layers; its positions start after the padding id."""
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=MAX_POSITIONS + 2,
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        layer_norm_eps=1e-5,
        **sizes,
    )
    model = XLMRobertaModel(config).eval()
    randomise(model, seed)
    return model


def tiny_modernbert(tokenizer: Tokenizer, seed: int) -> ModernBertModel:
    """Return a ModernBERT with a global and a local layer, the window narrower than the documents."""
    ids = {f"{name}_token_id": tokenizer.token_to_id(f"[{name.upper()}]") for name in ("cls", "sep", "pad")}
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=MAX_POSITIONS,
        local_attention=16,
        global_attn_every_n_layers=2,
        bos_token_id=ids["cls_token_id"],
        eos_token_id=ids["sep_token_id"],
        **ids,
    )
    model = ModernBertModel(config).eval()
    randomise(model, seed)
    return model


# ---------------------------------------------------------------------- ONNX


class Graph(torch.nn.Module):
    """The backbone, followed by a projection and a normalisation where the graph has them."""

    def __init__(
        self, backbone: torch.nn.Module, projection: torch.nn.Module | None = None, *, normalise: bool = False
    ):
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.normalise = normalise

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return one row for each token."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        rows = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        if self.projection is not None:
            rows = self.projection(rows)
        return torch.nn.functional.normalize(rows, p=2, dim=-1) if self.normalise else rows


def export(graph: Graph, path: Path, *, output: str, token_types: bool) -> None:
    """Export with dynamic batch and sequence, and check the file against torch in shapes unlike the example's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    graph.eval()
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * token_types
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in [*names, output]}
    example = tuple(feed(names, batch=2, length=12, seed=0).values())
    torch.onnx.export(
        graph, example, str(path), input_names=names, output_names=[output], dynamic_axes=axes,
        opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(path)
    for node in model.graph.node:  # They carry the exporting machine's paths.
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for seed, (batch, length) in enumerate([(1, 3), (3, 47), (2, 12), (1, MAX_POSITIONS)]):
        inputs = feed(names, batch=batch, length=length, seed=seed)
        with torch.no_grad():
            expected = graph(*inputs.values()).numpy()
        got = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        difference = np.abs(got - expected)[inputs["attention_mask"].numpy() == 1].max()
        assert difference < 1e-5, (path.parent.name, batch, length, difference)


def feed(names: list[str], *, batch: int, length: int, seed: int) -> dict[str, torch.Tensor]:
    """Return random inputs, the last sequence of the batch half padded."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(7, 300, (batch, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, max(2, length // 2) :] = 0
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return {name: values[name] for name in names}


# -------------------------------------------------------------- model folders


def fresh(name: str) -> Path:
    """Return an empty model folder."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def save_backbone(backbone: torch.nn.Module, folder: Path) -> None:
    """Write a plain transformers checkpoint."""
    backbone.save_pretrained(folder)


def build_bert_pylate(scratch: Path) -> None:
    """Classic PyLate: expansion not attended, punctuation skiplist, serialised fixed padding, no projection in ONNX."""
    from pylate.models import ColBERT

    tokenizer = wordpiece(lowercase=True)
    base = scratch / "bert-pylate-base"
    save_backbone(tiny_bert(tokenizer, 1), base)
    save_tokenizer(base, tokenizer, BERT_NAMES, tokenizer_class="BertTokenizer", do_lower_case=True)
    model = ColBERT(
        str(base),
        embedding_size=DIM,
        query_length=QUERY_LENGTH,
        document_length=DOCUMENT_LENGTH,
        device="cpu",
    )
    randomise(model, 21)
    folder = fresh("bert-pylate")
    save_pylate(model, folder)
    saved = serialise_padding(
        model.tokenizer.backend_tokenizer, "[MASK]", length=QUERY_LENGTH - 1, max_length=QUERY_LENGTH - 1
    )
    names = BERT_NAMES | {"pad_token": "[MASK]"}
    save_tokenizer(folder, saved, names, tokenizer_class="BertTokenizer", do_lower_case=True)
    export(
        Graph(model[0].auto_model), folder / "onnx/model.onnx", output="last_hidden_state", token_types=True
    )


def save_pylate(model: torch.nn.Module, folder: Path) -> None:
    """Save with PyLate; the tokenizer files are written again by the caller."""
    model.save_pretrained(str(folder), create_model_card=False)
    for path in folder.glob("*token*"):
        path.unlink()


STANFORD = {
    "query_token": "[Q]",
    "doc_token": "[D]",
    "ncells": None,
    "centroid_score_threshold": None,
    "ndocs": None,
    "index_path": None,
    "nbits": 2,
    "kmeans_niters": 20,
    "similarity": "cosine",
    "bsize": 32,
    "accumsteps": 1,
    "lr": 1e-05,
    "dim": DIM,
    "query_maxlen": QUERY_LENGTH,
    "doc_maxlen": DOCUMENT_LENGTH,
    "mask_punctuation": True,
    "checkpoint": "tiny",
    "interaction": "colbert",
}


def save_stanford(
    backbone: torch.nn.Module, projection: torch.nn.Linear, folder: Path, metadata: dict[str, object]
) -> None:
    """Write a colbert-ai checkpoint: the backbone under its prefix and linear.weight in one file."""
    prefix = backbone.base_model_prefix
    state = {f"{prefix}.{name}": value.contiguous() for name, value in backbone.state_dict().items()}
    save_file(
        state | {"linear.weight": projection.weight.detach().contiguous()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    write_json(folder / "config.json", backbone.config.to_dict() | {"architectures": ["HF_ColBERT"]})
    write_json(folder / "artifact.metadata", STANFORD | metadata)


def build_bert_stanford(_scratch: Path) -> None:
    """colbertv2.0: [unused0] and [unused1], a projected and normalised graph of two inputs."""
    tokenizer = wordpiece(lowercase=True)
    backbone = tiny_bert(tokenizer, 2)
    projection = torch.nn.Linear(HIDDEN, DIM, bias=False)
    randomise(projection, 12)
    folder = fresh("bert-stanford")
    metadata = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "attend_to_mask_tokens": False}
    save_stanford(backbone, projection, folder, metadata)
    save_tokenizer(folder, tokenizer, BERT_NAMES, tokenizer_class="BertTokenizer", do_lower_case=True)
    graph = Graph(backbone, projection, normalise=True)
    export(graph, folder / "model.onnx", output="contextual", token_types=False)


def build_xlmr_jina(_scratch: Path) -> None:
    """jina-colbert-v2: markers at the end of the vocabulary, attended expansion, projected but not normalised."""
    tokenizer = unigram()
    backbone = tiny_xlmr(tokenizer, 3)
    projection = torch.nn.Linear(HIDDEN, DIM, bias=False)
    randomise(projection, 13)
    folder = fresh("xlmr-jina")
    markers = ["[QueryMarker]", "[DocumentMarker]"]
    metadata = {"query_token_id": markers[0], "doc_token_id": markers[1]}
    metadata |= {"query_token": markers[0], "doc_token": markers[1], "attend_to_mask_tokens": True}
    save_stanford(backbone, projection, folder, metadata)
    save_tokenizer(
        folder,
        tokenizer,
        XLMR_NAMES,
        tokenizer_class="PreTrainedTokenizerFast",
        additional_special_tokens=markers,
        model_input_names=["input_ids", "attention_mask"],
    )
    export(
        Graph(backbone, projection), folder / "onnx/model.onnx", output="text_embeddings", token_types=False
    )


def build_modernbert_pylate(scratch: Path) -> None:
    """Byte-level BPE, no expansion, two Dense layers (a residual; a bias and tanh), a prompt besides the marker."""
    from pylate.models import ColBERT, Dense
    from sentence_transformers.models import Transformer

    tokenizer = byte_level()
    base = scratch / "modernbert-base"
    save_backbone(tiny_modernbert(tokenizer, 4), base)
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    save_tokenizer(base, tokenizer, BERT_NAMES, tokenizer_class="PreTrainedTokenizerFast", **inputs)
    first = Dense(HIDDEN, 24, bias=False, activation_function=torch.nn.Identity(), use_residual=True)
    second = Dense(24, DIM, bias=True, activation_function=torch.nn.Tanh())
    model = ColBERT(
        modules=[Transformer(str(base)), first, second],
        query_length=48,
        document_length=DOCUMENT_LENGTH,
        do_query_expansion=False,
        prompts={"query": "search_query: ", "document": "search_document: "},
        device="cpu",
    )
    randomise(model, 14)
    folder = fresh("modernbert-pylate")
    save_pylate(model, folder)
    saved = serialise_padding(
        model.tokenizer.backend_tokenizer, "[MASK]", length=None, max_length=DOCUMENT_LENGTH - 1
    )
    names = BERT_NAMES | {"pad_token": "[MASK]"}
    save_tokenizer(folder, saved, names, tokenizer_class="PreTrainedTokenizerFast", **inputs)
    export(
        Graph(model[0].auto_model), folder / "onnx/model.onnx", output="last_hidden_state", token_types=False
    )


def build_lighton(scratch: Path) -> None:
    """The files of pylate-onnx-export alone; its PyLate source, a cased model that lowers its texts, stays in scratch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from pylate.models import ColBERT

    tokenizer = wordpiece(lowercase=False)
    base, source = scratch / "lighton-base", lighton_source(scratch)
    save_backbone(tiny_bert(tokenizer, 6), base)
    save_tokenizer(base, tokenizer, BERT_NAMES, tokenizer_class="BertTokenizer", do_lower_case=False)
    model = ColBERT(
        str(base), embedding_size=DIM, query_length=QUERY_LENGTH, document_length=DOCUMENT_LENGTH,
        do_query_expansion=False, device="cpu",
    )  # fmt: skip
    model[0].do_lower_case = True
    randomise(model, 16)
    model.save_pretrained(str(source), create_model_card=False)

    folder = fresh("lighton")
    config = {
        "model_type": "ColBERT",
        "model_name": "tiny/lighton",
        "model_class": "BertModel",
        "uses_token_type_ids": True,
        "query_prefix": model.query_prefix,
        "document_prefix": model.document_prefix,
        "query_length": model.query_length,
        "document_length": model.document_length,
        "do_query_expansion": model.do_query_expansion,
        "attend_to_expansion_tokens": model.attend_to_expansion_tokens,
        "skiplist_words": model.skiplist_words,
        "embedding_dim": DIM,
        "mask_token_id": model.tokenizer.mask_token_id,
        "pad_token_id": model.tokenizer.pad_token_id,
        "query_prefix_id": model.query_prefix_id,
        "document_prefix_id": model.document_prefix_id,
        "do_lower_case": True,
    }
    write_json(folder / "onnx_config.json", config)
    saved = serialise_padding(model.tokenizer.backend_tokenizer, "[MASK]", length=32, max_length=32)
    saved.save(str(folder / "tokenizer.json"))
    graph = Graph(model[0].auto_model, model[1].linear, normalise=True)
    export(graph, folder / "model.onnx", output="output", token_types=True)
    quantize_dynamic(folder / "model.onnx", folder / "model_int8.onnx", weight_type=QuantType.QInt8)


def lighton_source(scratch: Path) -> Path:
    """Return the folder of the PyLate model that lighton/ is exported from."""
    return scratch / "lighton-source"


def build_bert_st6(scratch: Path) -> None:
    """A native save of sentence-transformers 6: `min` expansion, mask and normalisation as modules, marker in `prompts`."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    tokenizer = wordpiece(lowercase=True)
    tokenizer.add_special_tokens(
        [AddedToken(marker, special=True, normalized=False) for marker in ("[Q] ", "[D] ")]
    )
    base = scratch / "bert-st6-base"
    save_backbone(tiny_bert(tokenizer, 5), base)
    save_tokenizer(base, tokenizer, BERT_NAMES, tokenizer_class="BertTokenizer", do_lower_case=True)
    transformer = Transformer(
        str(base),
        document_length=DOCUMENT_LENGTH,
        query_expansion={"strategy": "min", "attend": False, "length": QUERY_LENGTH},
    )
    dense = Dense(
        HIDDEN,
        DIM,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    )
    model = MultiVectorEncoder(
        modules=[
            transformer,
            dense,
            MultiVectorMask(skiplist_words=PUNCTUATION),
            Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": "[Q] ", "document": "[D] "},
        device="cpu",
    )
    randomise(model, 15)
    folder = fresh("bert-st6")
    model.save_pretrained(str(folder), create_model_card=False)
    export(Graph(model[0].model), folder / "onnx/model.onnx", output="last_hidden_state", token_types=True)


# -------------------------------------------------------------------- golden

# Other `prompts` for bert-st6: text without a marker token, and a marker token followed by text.
PROMPT_VARIANTS = {
    "st6text": {"query": "query: ", "document": "passage: "},
    "st6both": {"query": "[Q] search_query: ", "document": "[D] search_document: "},
}


def check_tokenizer(folder: Path, tokenizer: object) -> None:
    """Make sure that transformers tokenises as the committed tokenizer.json does."""
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    raw.no_padding()
    raw.no_truncation()
    for text in TEXTS["queries"] + TEXTS["documents"]:
        assert tokenizer(text)["input_ids"] == raw.encode(text).ids, (folder.name, text)


def record(folder: Path, reference: str, encode: object, score: object) -> None:
    """Encode one text at a time and in batches of 4, compare, and add the arrays to the folder's golden.npz.

    `encode(texts, side)` returns (rows, kept token ids) for each text; `score(query_rows, document_rows)` a float.
    """
    path = folder / "golden.npz"
    arrays = dict(np.load(path)) if path.exists() else {}
    arrays = {key: value for key, value in arrays.items() if not key.startswith(f"{reference}_")}
    single: dict[str, list[np.ndarray]] = {}
    for side, texts in (("query", TEXTS["queries"]), ("document", TEXTS["documents"])):
        encoded = [encode([text], side)[0] for text in texts]
        batched = [row for start in range(0, len(texts), 4) for row in encode(texts[start : start + 4], side)]
        for text, (alone, _), (mate, _) in zip(texts, encoded, batched, strict=True):
            same = alone.shape == mate.shape and np.abs(alone - mate).max() < 1e-5
            if not same:
                logger.warning("%s %s: rows of %s %r depend on the batch", folder.name, reference, side, text)
        single[side] = [rows.astype(np.float32) for rows, _ in encoded]
        arrays[f"{reference}_{side}_rows"] = np.concatenate(single[side])
        arrays[f"{reference}_{side}_ids"] = np.concatenate([ids for _, ids in encoded]).astype(np.int32)
        arrays[f"{reference}_{side}_lengths"] = np.array([len(rows) for rows in single[side]], np.int32)
    scores = [[score(query, document) for document in single["document"]] for query in single["query"]]
    arrays[f"{reference}_scores"] = np.array(scores, np.float32)
    np.savez_compressed(path, **arrays)
    lengths = {side: [len(rows) for rows in single[side]] for side in single}
    logger.info("%s %s: rows %s", folder.name, reference, lengths)


def record_pylate(folder: Path, source: Path | None = None) -> None:
    """Record PyLate's arrays; the prompt of the model, which PyLate applies only by name, is applied."""
    from pylate.models import ColBERT
    from pylate.scores import colbert_scores

    model = ColBERT(str(source or folder), device="cpu", local_files_only=True)
    check_tokenizer(folder, model.tokenizer)

    def encode(texts: list[str], side: str) -> list[tuple[np.ndarray, np.ndarray]]:
        options = {"is_query": side == "query", "show_progress_bar": False}
        if model.prompts.get(side):
            options["prompt_name"] = side
        rows = model.encode(texts, **options)
        raw = model.encode(texts, **options, output_value=None)
        kept = [ids[mask] for ids, mask in zip(raw["input_ids"], raw["masks"], strict=True)]
        return list(zip(rows, kept, strict=True))

    def score(query: np.ndarray, document: np.ndarray) -> float:
        return colbert_scores([query], [document], backend="torch").item()

    record(folder, "pylate", encode, score)


def record_st6(folder: Path, reference: str = "st6", prompts: dict[str, str] | None = None) -> None:
    """Record the arrays of sentence-transformers 6, with the folder's prompts or with others."""
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True, prompts=prompts)
    check_tokenizer(folder, model.tokenizer)

    def encode(texts: list[str], side: str) -> list[tuple[np.ndarray, np.ndarray]]:
        method = model.encode_query if side == "query" else model.encode_document
        rows = method(texts, convert_to_numpy=True, show_progress_bar=False)
        raw = method(texts, output_value=None, show_progress_bar=False)
        kept = [item["input_ids"][item["attention_mask"].bool()].numpy() for item in raw]
        return list(zip(rows, kept, strict=True))

    def score(query: np.ndarray, document: np.ndarray) -> float:
        return model.similarity([query], [document]).item()

    record(folder, reference, encode, score)


def main() -> None:
    """Run one environment's half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=["pylate", "st6"])
    half = parser.parse_args().half
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if half == "pylate":
            build_bert_pylate(scratch)
            build_bert_stanford(scratch)
            build_xlmr_jina(scratch)
            build_modernbert_pylate(scratch)
            build_lighton(scratch)
            for name in ("bert-pylate", "bert-stanford", "xlmr-jina", "modernbert-pylate"):
                record_pylate(HERE / name)
            record_pylate(HERE / "lighton", lighton_source(scratch))
        else:
            build_bert_st6(scratch)
            for name in ("bert-st6", "bert-pylate", "bert-stanford", "xlmr-jina", "modernbert-pylate"):
                record_st6(HERE / name)
            for reference, prompts in PROMPT_VARIANTS.items():
                record_st6(HERE / "bert-st6", reference, prompts)
        for path in HERE.rglob("*.safetensors"):
            path.chmod(0o644)


if __name__ == "__main__":
    main()
