"""Whether a model gives here what it gave where it was recorded, and whether it tells an answer from another text."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from laterank.diagnosis.environment import read_environment
from laterank.diagnosis.finding import Finding, failed, ok, skipped, warning
from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.tokenization import ColbertTokenizer
from laterank.model.files import ModelFiles
from laterank.model.golden import Golden, GoldenText
from laterank.scoring import maxsim

__all__ = ["check_answers", "check_golden", "record_golden"]

TOLERANCE = 0.02
"""Of a mean score; graphs of INT8 differ by less between processors with and without VNNI."""

SEEN_IN_THE_SCORES = frozenset({"embedding_size", "max_length", "output", "projected", "matryoshka_dims"})
"""Settings that no text's tokens depend on; the registry may know them where a copied folder does not."""

QUESTIONS = (
    "Which planet is known as the Red Planet?",
    "How does a vaccine protect against a disease?",
    "What is the capital of France?",
    "How long do you boil an egg?",
)
ANSWERS = (
    "Mars is often called the Red Planet, because iron oxide gives its surface a reddish colour.",
    "A vaccine trains the immune system to recognise a pathogen, so that it responds faster to an infection.",
    "Paris is the capital and the largest city of France; it lies on the Seine.",
    "For a soft yolk, cook the egg in boiling water for six minutes - for a hard one, for ten.",
)


def check_answers(encoder: ColbertEncoder) -> Finding:
    """Rank four plain answers to four plain questions."""
    check, scores = "answers", _scores(encoder, QUESTIONS, ANSWERS)
    right = int((scores.argmax(axis=1) == np.arange(len(QUESTIONS))).sum())
    found = f"{right} of {len(QUESTIONS)} plain English questions find their answer among {len(ANSWERS)}"
    if right == len(QUESTIONS):
        return ok(check, found)
    return warning(
        check,
        found,
        expected="all of them, of a trained model that knows English",
        cure="compare markers, skiplist and projection with the model that was trained; other languages need no cure",
    )


def record_golden(encoder: ColbertEncoder) -> Golden:
    """Return what a model makes of a few texts here, for ``golden.json`` in its folder."""
    files = encoder.files
    tokenizer = ColbertTokenizer(files.tokenizer, files.config)
    environment = read_environment()
    made_with = {name: environment.packages.get(name, "") for name in ("onnxruntime", "tokenizers")}
    return Golden(
        graph=_graph_name(files),
        settings=_plain(files),
        queries=_golden_texts(tokenizer, QUESTIONS, side="queries"),
        documents=_golden_texts(tokenizer, ANSWERS, side="documents"),
        scores=tuple(
            tuple(round(float(score), 5) for score in row) for row in _scores(encoder, QUESTIONS, ANSWERS)
        ),
        tolerance=TOLERANCE,
        made_with={**made_with, "processor": environment.system},
    )


def check_golden(golden: Golden, encoder: ColbertEncoder) -> list[Finding]:
    """Compare settings, tokens and scores with those that were recorded; each rests on the one before."""
    found = [_settings(golden, encoder.files)]
    if found[-1].status == "ok":
        found.append(_tokens(golden, encoder.files))
    if found[-1].status == "ok":
        found.append(_score(golden, encoder))
    else:
        found.append(skipped("golden scores", "they need what was recorded before them"))
    return found


def _settings(golden: Golden, files: ModelFiles) -> Finding:
    check, now = "recorded settings", _plain(files)
    compared = set(golden.settings).intersection(now) - SEEN_IN_THE_SCORES
    changed = [name for name in now if name in compared and now[name] != golden.settings[name]]
    if not changed:
        return ok(check, "as they were recorded")
    before = golden.settings
    cure = "put the recorded settings back into the model's files: " + ", ".join(changed)
    if (now["query_prefix"], now["document_prefix"]) == (before["document_prefix"], before["query_prefix"]):
        cure = "exchange query_prefix and document_prefix in the settings' file"
    return failed(
        check,
        ", ".join(f"{name} is {_short(now[name])}" for name in changed),
        expected=", ".join(f"{name} {_short(before[name])}" for name in changed),
        cure=cure,
    )


def _tokens(golden: Golden, files: ModelFiles) -> Finding:
    check = "recorded tokens"
    tokenizer = ColbertTokenizer(files.tokenizer, files.config)
    for side, texts in (("queries", golden.queries), ("documents", golden.documents)):
        now = _golden_texts(tokenizer, tuple(text.text for text in texts), side=side)
        for ours, recorded in zip(now, texts, strict=True):
            if ours == recorded:
                continue
            what = "token ids" if ours.ids != recorded.ids else "scored tokens"
            shown, wanted = (
                (ours.ids, recorded.ids) if ours.ids != recorded.ids else (ours.scored, recorded.scored)
            )
            return failed(
                check,
                f"{what} of {recorded.text!r} are {_short(shown)}",
                expected=_short(wanted),
                cure="copy tokenizer.json of this very model, and correct the settings that changed, if any did",
            )
    return ok(
        check, f"{len(golden.queries) + len(golden.documents)} texts have the tokens that were recorded"
    )


def _score(golden: Golden, encoder: ColbertEncoder) -> Finding:
    check, graph = "golden scores", _graph_name(encoder.files)
    if graph != golden.graph:
        return skipped(check, f"they were recorded with {golden.graph}, and this is {graph}")
    now = _scores(
        encoder,
        tuple(text.text for text in golden.queries),
        tuple(text.text for text in golden.documents),
    )
    wanted = np.array(golden.scores)
    worst = float(np.abs(now - wanted).max())
    if worst <= golden.tolerance:
        return ok(check, f"{wanted.size} scores are within {worst:.2g} of those that were recorded")
    row, column = np.unravel_index(np.abs(now - wanted).argmax(), wanted.shape)
    return failed(
        check,
        f"a score is {now[row, column]:.3f}, {worst:.3f} off",
        expected=f"{wanted[row, column]:.3f}, within {golden.tolerance:g} ({golden.queries[row].text!r})",
        cure="download the graph and the projection again; if the model was changed on purpose, record it anew (--record)",
    )


def _scores(
    encoder: ColbertEncoder, queries: tuple[str, ...], documents: tuple[str, ...]
) -> np.ndarray[Any, Any]:
    rows = encoder.encode_documents(documents)
    return np.array([maxsim(query, rows) / len(query) for query in encoder.encode_queries(queries)])


def _golden_texts(
    tokenizer: ColbertTokenizer, texts: tuple[str, ...], *, side: str
) -> tuple[GoldenText, ...]:
    tokenised = tokenizer.queries(texts) if side == "queries" else tokenizer.documents(texts)
    return tuple(
        GoldenText(text, tuple(tokens.ids.tolist()), tuple(tokens.scored.astype(int).tolist()))
        for text, tokens in zip(texts, tokenised, strict=True)
    )


def _graph_name(files: ModelFiles) -> str:
    return files.onnx.name


def _plain(files: ModelFiles) -> dict[str, Any]:
    """Return the settings as JSON gives them back, with lists for tuples."""
    return dict(json.loads(json.dumps(files.config.to_dict())))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
