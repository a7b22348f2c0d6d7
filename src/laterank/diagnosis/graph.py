"""Whether the graph loads, reads every token, gives rows of the right kind, and the same ones whatever is beside a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laterank.diagnosis.finding import Finding, failed, from_error, ok, skipped, warning
from laterank.encoding.projection import Projection, choose_projection, load_projection
from laterank.encoding.session import OnnxSession
from laterank.errors import EncodingError, LaterankError, ModelFormatError
from laterank.model.files import ModelFiles

__all__ = ["check_graph", "check_independence", "check_numbers", "check_projection", "check_vocabulary"]

Ids = NDArray[np.int64]
Rows = NDArray[np.float32]

LARGEST_DIFFERENCE = 1e-3
"""Of a number of a unit-length row; what float32 kernels round differently is below a hundredth of it."""
LONGEST_RUN = 1024
LEAST_LENGTH = 1e-6


def check_graph(session: OnnxSession, path: Path) -> tuple[int | None, Finding]:
    """Load the graph and run two tokens through it; return the numbers that it gives a token."""
    check = "graph"
    expected = "an ONNX graph with one row a token: (batch, tokens, size)"
    try:
        size = _run(session, np.zeros((1, 2), dtype=np.int64)).shape[-1]
    except ModelFormatError as error:
        return None, from_error(check, error, expected=expected, cure=_graph_cure(str(error), path))
    except EncodingError as error:
        cure = "export the model to ONNX again, with dynamic axes for batch and tokens"
        return None, from_error(check, error, expected=expected, cure=cure)
    except LaterankError as error:
        return None, from_error(check, error, expected="an onnxruntime that works")
    return size, ok(check, f"{path.name} loads and gives {size} numbers a token")


def _graph_cure(message: str, path: Path) -> str:
    """Tell a file that ended early from one that is too new, too dense, or something else."""
    if "no token encoder" in message or "expected (1, 2" in message:
        return "export the token states (last_hidden_state), not the pooled sentence embedding, or choose another onnx_file"
    if "opset" in message.lower() or "ir version" in message.lower():
        return "upgrade onnxruntime, or export with an older opset"
    if "external" in message.lower():
        return (
            f"copy the file with the weights next to {path.name}, or export the graph with its weights inside"
        )
    if "config=" in message or "has the inputs" in message:
        return message.rpartition("; ")[2] if "; " in message else "export the graph with token inputs only"
    size = path.stat().st_size if path.is_file() else 0
    return f"the file has {size:,} bytes and is damaged or ended early: download or copy it again, and compare its size"


def check_vocabulary(session: OnnxSession, ids: dict[str, int]) -> Finding:
    """Run the largest token id: a graph with a smaller embedding table fails on texts that hold such a token."""
    check, largest = "vocabulary", max(ids.values())
    if _reads(session, largest):
        return ok(check, f"the graph reads every id of the tokenizer, up to {largest:,}")
    if not _reads(session, 0):
        return skipped(check, "the graph reads no token at all")
    reads, fails = 0, largest  # the first id that fails lies between them
    while fails - reads > 1:
        middle = (reads + fails) // 2
        reads, fails = (middle, fails) if _reads(session, middle) else (reads, middle)
    beyond = sorted((number, token) for token, number in ids.items() if number >= fails)
    return failed(
        check,
        f"the graph knows the ids below {fails:,}, the tokenizer gives up to {largest:,}: {len(beyond)} tokens cannot be "
        f"read, such as {beyond[0][1]!r}",
        expected=f"an embedding table of at least {largest + 1:,} rows",
        cure="copy the tokenizer.json that belongs to the graph, or export the graph again after resize_token_embeddings",
    )


def _reads(session: OnnxSession, token: int) -> bool:
    try:
        session.run(np.full((1, 2), token, dtype=np.int64), np.ones((1, 2), dtype=bool))
    except EncodingError:
        return False
    return True


def check_projection(files: ModelFiles, size: int) -> tuple[Projection | None, Finding]:
    """See whether what the graph gives becomes an embedding of the size that the settings state."""
    check = "projection"
    expected = f"a projection from {size} numbers to the embedding's, or a graph that ends with it"
    try:
        loaded = load_projection(files)
        chosen = choose_projection(loaded, files, size)
    except LaterankError as error:
        folders = ", ".join(f"{folder.name}/" for folder in files.dense) or "1_Dense/"
        cure = f"copy {folders} from the model that the graph was exported from, config.json and weights together"
        return None, from_error(check, error, expected=expected, otherwise=cure)
    if chosen is not None:
        return chosen, ok(check, f"{chosen.in_features} to {chosen.out_features}, beside the graph")
    return None, ok(check, f"the graph ends with it: {size} numbers a token")


def check_numbers(session: OnnxSession, projection: Projection | None, ids: Ids) -> Finding:
    """Run a text and look at its rows: finite, not zero, not all alike."""
    check = "rows"
    cure = "choose another onnx_file or quantized=False, or export the model again"
    states = _run(session, ids[None])[0]
    rows = projection(states) if projection is not None else states
    lengths = np.linalg.norm(rows, axis=1)
    if not np.isfinite(lengths).all():
        wrong = int((~np.isfinite(lengths)).sum())
        found = f"{wrong} of {len(rows)} rows hold NaN or infinite numbers"
        return failed(check, found, expected="finite numbers; float16 graphs overflow", cure=cure)
    if (lengths < LEAST_LENGTH).any():
        found = f"{int((lengths < LEAST_LENGTH).sum())} of {len(rows)} rows are zero"
        return failed(check, found, expected="rows with a direction", cure=cure)
    unit = rows / lengths[:, None]
    if len(unit) > 2 and float((unit @ unit.T).min()) > 1 - LEAST_LENGTH:
        return failed(check, "every token has the same row", expected="rows that differ by token", cure=cure)
    scaled = bool(np.allclose(lengths, 1, atol=1e-2))
    how = (
        "of unit length"
        if scaled
        else f"of length {lengths.min():.2g} to {lengths.max():.2g}, which laterank scales to 1"
    )
    return ok(check, f"{len(rows)} rows {how}")


def check_independence(
    session: OnnxSession, files: ModelFiles, projection: Projection | None, ids: Ids
) -> list[Finding]:
    """Run one text alone, beside others and beside padding: its rows must be the same."""
    check = "batch invariance"
    alone = _unit(_run(session, ids[None])[0], projection)
    others = np.random.default_rng(0).permuted(np.tile(ids, (3, 1)), axis=1)
    beside = _unit(_run(session, np.vstack([ids[None], others]))[0], projection)
    difference = float(np.abs(alone - beside).max())
    if files.graph_contains(b"DynamicQuantize"):
        found = "the graph quantises activations over the whole run, so laterank encodes one text a run"
        return [ok(check, f"{found} (in a batch rows would move by {difference:.2g})")]
    if difference > LARGEST_DIFFERENCE:
        return [
            failed(
                check,
                f"a text's rows change by {difference:.2g} with what is beside it in a batch",
                expected=f"at most {LARGEST_DIFFERENCE:g}",
                cure="pass tokens_per_batch=1, which encodes one text a run, or export the graph again without what mixes "
                "texts: quantisation over the whole batch, normalisation by batch",
            )
        ]
    return [
        ok(check, f"a text's rows do not depend on its batch ({difference:.1g})"),
        _padded(session, files, projection, ids, alone),
    ]


def _padded(
    session: OnnxSession, files: ModelFiles, projection: Projection | None, ids: Ids, alone: Rows
) -> Finding:
    check, padding = "attention mask", 8
    attention = np.ones((1, len(ids) + padding), dtype=bool)
    attention[0, -padding:] = False
    longer = np.concatenate([ids, np.full(padding, ids[-1])])[None]
    beside = _unit(session.run(longer, attention)[0, : len(ids)], projection)
    difference = float(np.abs(alone - beside).max())
    if difference <= LARGEST_DIFFERENCE:
        return ok(check, f"the graph does not see what is masked ({difference:.1g})")
    expanded = files.config.query_expansion != "none" and not files.config.attend_to_expansion_tokens
    found = f"a text's rows change by {difference:.2g} with masked tokens behind it: the graph ignores its attention_mask"
    cure = "export the graph again with attention_mask among its inputs"
    if expanded:
        return failed(check, found, expected="masked expansion tokens that nothing sees", cure=cure)
    return warning(check, found, expected="no change; only GPUs run padded batches", cure=cure)


def _unit(states: Rows, projection: Projection | None) -> Rows:
    rows = projection(states) if projection is not None else states
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, LEAST_LENGTH), dtype=np.float32)


def _run(session: OnnxSession, ids: Ids) -> Rows:
    return session.run(ids, np.ones(ids.shape, dtype=bool))


def check_longest(session: OnnxSession, files: ModelFiles, ids: Ids) -> Finding:
    """Run a text of the longest document: a network with fewer positions fails on it."""
    check, longest = "lengths", max(files.config.document_length, files.config.query_length)
    tried = min(longest, LONGEST_RUN)
    try:
        _run(session, np.resize(ids, tried)[None])
    except EncodingError as error:
        return from_error(
            check,
            error,
            expected=f"a network with positions for {longest} tokens, which the settings allow",
            cure='a smaller "document_length" (or "query_length") in the settings, or config={"document_length": ...}',
        )
    beyond = "" if tried == longest else f"; up to {longest} was not tried"
    return ok(check, f"a text of {tried} tokens is read{beyond}")
