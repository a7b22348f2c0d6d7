"""The places a student can start from: how its weights are read, and what its card and NOTICE say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from model import ColbertModel, Shape, load_encoder
from narrow import SHAPES, WIDE_SHAPES, narrowed
from prune import KEPT_LAYERS, pruned
from row_loss import DIMS

from laterank.export.rounding import quantize_rows
from laterank.export.six_bits import LARGEST_SIX_BITS

Load = Callable[[ColbertModel, Path, Sequence[Sequence[int]]], ColbertModel]


@dataclass(frozen=True, slots=True)
class Start:
    """Untrained weights: ``load`` takes the teacher, the folder of the MiniLM weights, and token ids of texts to fit over.

    ``six_bit_words`` tells whether word embeddings ship in six bits a number instead of eight, ``shapes`` what the layers
    become, where the start fixes that, and ``looked_at`` what was known of the judged collections when it was tried.
    """

    load: Load
    base_model: str
    step: str
    licence: str
    notice: str
    six_bit_words: bool = False
    shapes: Sequence[Shape] = ()
    looked_at: str = ""

    @torch.no_grad()
    def with_words(self, model: ColbertModel) -> ColbertModel:
        """Round words of six bits as they ship: they are never trained, and what reads them learns to do with that."""
        if self.six_bit_words:
            words = model.words.weight.numpy()
            rows, scales = quantize_rows(words, np.float16, largest=LARGEST_SIX_BITS)
            model.words.weight.copy_(torch.from_numpy(rows * scales.astype(np.float32)))
        return model


TOKENIZER = """\
The tokenizer is that of https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).
"""

TEACHER_LICENCE = "answerdotai/answerai-colbert-small-v1, Apache-2.0; its own card names its training data"
OF_THE_TEACHER = (
    """\
This model is derived from answerai-colbert-small-v1
  https://huggingface.co/answerdotai/answerai-colbert-small-v1
by Answer.AI, under the Apache License 2.0, whose text stands in 'LICENSE'.
"""
    + TOKENIZER
    + """
Changes made by laterank: {change} and the weights trained further (README.md says how), token type embeddings were
folded into the positions, {rounded}, all of it stored as an ONNX graph, embeddings of unused words left out,
the tokenizer's padding and truncation removed and two marker tokens declared.
"""
)
BEFORE_WIDE = """; how the teacher ranks three of them was looked at before wider layers were tried, and the average of a short run of that
kind (70.5) was known before this one was made"""
IN_INT8 = "the matrices were rounded to INT8"


def narrower(shapes: Sequence[Shape], *, six_bit_words: bool = False, looked_at: str = "") -> Start:
    """Return the start that keeps all of the teacher's layers, each of a smaller shape."""
    return Start(
        load=lambda teacher, _, rows: narrowed(teacher, rows, shapes),
        base_model="answerdotai/answerai-colbert-small-v1",
        step=f"""\
1. answerdotai/answerai-colbert-small-v1, read back from its INT8 file, with {sum(shape.heads for shape in shapes)} of its 144 attention heads and
   {sum(shape.neurons for shape in shapes):,} of its 18,432 feed-forward neurons: those without which the rest came out farthest from the whole for the time
   they take (Optimal Brain Surgeon). Every product was fitted by least squares to stand in for what is gone, the projection, too.""",
        licence=TEACHER_LICENCE,
        notice=OF_THE_TEACHER.format(
            change="attention heads and neurons were left out",
            rounded=f"{IN_INT8} and word embeddings to six bits" if six_bit_words else IN_INT8,
        ),
        six_bit_words=six_bit_words,
        shapes=shapes,
        looked_at=looked_at,
    )


STARTS = {
    "pruned": Start(
        load=lambda teacher, _, __: pruned(teacher),
        base_model="answerdotai/answerai-colbert-small-v1",
        step=f"""\
1. Embeddings, projection and {len(KEPT_LAYERS)} of the 12 layers of answerdotai/answerai-colbert-small-v1 ({", ".join(map(str, KEPT_LAYERS))}, counted
   from 0), read back from its INT8 file: the layers without which the rest came out nearest to the whole, left out one after another.
   The projection was fitted anew by least squares.""",
        licence=TEACHER_LICENCE,
        notice=OF_THE_TEACHER.format(change="layers were left out", rounded=IN_INT8),
    ),
    "narrowed": narrower(SHAPES),
    "wide": narrower(WIDE_SHAPES, six_bit_words=True, looked_at=BEFORE_WIDE),
    "minilm": Start(
        load=lambda _, source, __: load_encoder(source / "model.safetensors", max(DIMS)),
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        step="""\
1. The weights of sentence-transformers/all-MiniLM-L6-v2, and a projection that fits its token states to the teacher's token
   embeddings by least squares.""",
        licence="sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; its own card names its training data",
        notice="""\
This model is derived from all-MiniLM-L6-v2
  https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
under the Apache License 2.0, whose text stands in 'LICENSE'.
"""
        + TOKENIZER
        + """
Changes made by laterank: a projection to token embeddings was added and the weights were trained further for late interaction
(README.md says how), token type embeddings were folded into the positions, the pooler was dropped, the matrices were rounded to
INT8 and stored as an ONNX graph, embeddings of unused words left out, the tokenizer's padding and truncation removed and two
marker tokens declared.
""",
    ),
}
