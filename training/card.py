"""The model card, with the numbers of the run that made the model."""

from __future__ import annotations

from pathlib import Path

from calibrate import STRENGTH
from tokens import Layout
from train import Recipe

COLLECTIONS = ("scifact", "cranfield", "cacm", "pubmedqa", "wikiqa-test", "squad-dev", "average")


def judged_table(table: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table of nDCG@10."""
    lines = ["| | " + " | ".join(COLLECTIONS) + " |", "|---" * (len(COLLECTIONS) + 1) + "|"]
    for system, row in table.items():
        lines.append(f"| {system} | " + " | ".join(f"{row[name]:.1f}" for name in COLLECTIONS) + " |")
    return "\n".join(lines)


TEXT = """\
---
license: apache-2.0
language: en
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-ranking
tags: [ColBERT, late-interaction, PyLate, onnx]
---
# The embedded default model of laterank

A late-interaction (ColBERT) reranker for English in {megabytes:.1f} MB: 6 layers, 384 wide, {dim}-dimensional token embeddings, INT8.
`model_int8.onnx` takes `input_ids` and `attention_mask` and returns unit-length `token_embeddings`; the projection is inside.
`score(q, d) = sum_i max_j <q_i, d_j>` over all query rows and the document rows that are not punctuation.
Markers `[unused0]` (queries) and `[unused1]` (documents) follow the start token; queries are not expanded.

## How it was made
{recipe}

`training/make_model.py` in the source repository makes these files again.

## Measured
nDCG@10 x 100, the hundred best of BM25 (bm25s, its defaults) reranked, documents cut at {length} tokens; all judged queries, but 500
of squad-dev and 300 of pubmedqa (seed 0). We trained on no judged collection, and none decided anything about the model. The
published weights it starts from were trained on a billion web pairs, which may hold passages of them.

{table}

INT8 against fp32: cosine of token embeddings {cosine_mean:.4f} on average, {cosine_p1:.4f} at the first percentile; {speed:.1f} times
the tokens a second on one CPU thread with AVX-512 VNNI. Activations are quantised per run, so encode one text per run for embeddings that
do not depend on batch mates.

## Limits
- English. At most 512 tokens; what exceeds `document_length` is not read.
- A general model of modest size: measure it on your own queries before you rely on it.
- Scores compare documents for one query; they are not probabilities and do not compare across queries.
- It inherits the biases of its web training text.

## Training data and licences
{data}

The model is under the Apache License 2.0 (`LICENSE`); `NOTICE` names where the weights came from.
"""

UNTRAINED = """\
The weights are those of sentence-transformers/all-MiniLM-L6-v2. The projection is the principal components of its token states on
Wikipedia paragraphs, questions and medical answers, centred and partly whitened; nothing was trained."""

TRAINED = """\
1. The weights of sentence-transformers/all-MiniLM-L6-v2, and as the first projection the principal components of its token states on
   Wikipedia paragraphs, questions and medical answers, centred and partly whitened (eigenvalue to the power of -0.25).
2. {examples} queries with eight of BM25's candidates each: web questions, article titles with section headings, sentences cut out of
   their paragraph, medical questions, WikiQA questions. Wikipedia paragraphs and relevant answers that share 13 words in a row
   with a judged collection were left out.
3. {steps} steps of eight queries: the softmax of MaxSim over the candidates learns the scores of the cross-encoder
   cross-encoder/ms-marco-MiniLM-L-12-v2 (Apache-2.0, itself trained on MS MARCO) at temperature {temperature:g}, mixed half and half
   with the known relevant document where there is one. The embeddings and the lowest {frozen} layers were not trained.
4. Of the start, the end and averages of their weights, the best on development queries ships (share of the end: {share:g}).
   Development nDCG@10 x 100 by share: {selection}.
5. INT8: weights with a scale per output column, activations quantised per run, inputs of the feed-forward products smoothed
   (SmoothQuant, strength {strength:g}); vocabulary embeddings with a scale per row."""

DATA = """\
- Starting weights: sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; its own card names its training data.
- Wikipedia paragraphs (a snapshot of 2019 or older), CC-BY-SA.
- Natural Questions, questions only (NQ-open dev and EfficientQA), CC-BY-SA-3.0.
- MedQuAD, github.com/abachaa/MedQuAD, CC-BY-4.0.
- WikiQA train, Microsoft Research data licence."""


def training_text(share: float, selection: dict[str, dict[str, float]]) -> str:
    """Describe the training in the numbers that were used."""
    recipe = Recipe()
    scores = ", ".join(f"{name} {row['mean']:.1f}" for name, row in sorted(selection.items()))
    return TRAINED.format(
        examples=recipe.steps * recipe.queries_per_step,
        steps=recipe.steps,
        temperature=recipe.teacher_temperature,
        frozen=recipe.frozen_layers,
        share=share,
        selection=scores,
        strength=STRENGTH,
    )


def write_card(
    folder: Path,
    export: dict[str, float],
    table: dict[str, dict[str, float]],
    recipe: str,
    layout: Layout,
    dim: int,
) -> None:
    """Write README.md into the bundle."""
    text = TEXT.format(
        megabytes=export["bytes"] / 1e6,
        dim=dim,
        recipe=recipe,
        length=layout.document_length,
        table=judged_table(table),
        cosine_mean=export["cosine_mean"],
        cosine_p1=export["cosine_p1"],
        speed=export["int8_tokens_per_second"] / export["fp32_tokens_per_second"],
        data=DATA,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
