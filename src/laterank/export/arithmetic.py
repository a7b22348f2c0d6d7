"""The pieces of a transformer in numpy, by their definitions: what a graph is checked against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.projection import ACTIVATIONS
from laterank.errors import ModelFormatError

__all__ = ["activation_function", "attend", "layer_norm", "product", "rotate"]

Floats = NDArray[np.float32]


def activation_function(name: str) -> Callable[[Floats], Floats]:
    """Return an activation by its name in ``config.json``, such as ``"gelu"``.

    Raises:
        ModelFormatError: If it is none of those that laterank knows.
    """
    known = {kind.lower(): function for kind, function in ACTIVATIONS.items()}
    if name.lower() not in known:
        raise ModelFormatError(f"the network has the activation {name!r}, expected one of {', '.join(known)}")
    return known[name.lower()]


def product(rows: Floats, weight: Floats, bias: Floats | None) -> Floats:
    """``x W^T + b``. *Shapes:* ``(tokens, in)``, ``(out, in)``, ``(out,)`` -> ``(tokens, out)``"""
    multiplied = rows @ weight.T
    return np.asarray(multiplied if bias is None else multiplied + bias, dtype=np.float32)


def layer_norm(rows: Floats, weight: Floats, bias: Floats | None, epsilon: float) -> Floats:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias`` over the last axis (Ba et al. 2016, arXiv 1607.06450)."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + epsilon) * weight
    return np.asarray(scaled if bias is None else scaled + bias, dtype=np.float32)


def attend(query: Floats, key: Floats, value: Floats, heads: int, seen: NDArray[np.bool_]) -> Floats:
    """``softmax(q k^T / sqrt(d)) v`` in each head (Vaswani et al. 2017, arXiv 1706.03762).

    Args:
        query: *Shape:* ``(tokens, heads * head_size)``, as of ``key`` and ``value``
        key: What queries are compared with.
        value: What is mixed.
        heads: How many pieces a row is cut into.
        seen: Whether the token of a row sees that of a column. *Shape:* ``(tokens, tokens)``

    Returns:
        *Shape:* as of ``query``
    """
    parts = [rows.reshape(len(rows), heads, -1).transpose(1, 0, 2) for rows in (query, key, value)]
    scores = parts[0] @ parts[1].transpose(0, 2, 1) / np.sqrt(np.float32(parts[0].shape[-1]))
    scores = np.where(seen, scores, np.finfo(np.float32).min)  # no infinity: a token may see none
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ parts[2]
    return np.asarray(mixed.transpose(1, 0, 2).reshape(len(query), -1), dtype=np.float32)


def rotate(rows: Floats, cosines: Floats, sines: Floats, heads: int) -> Floats:
    """Turn each head's halves against each other by angles that grow with the position (RoPE, arXiv 2104.09864).

    Args:
        rows: *Shape:* ``(tokens, hidden)``
        cosines: Of each position's angles. *Shape:* ``(tokens, hidden / heads / 2)``
        sines: Likewise.
        heads: How many pieces a row is cut into.

    Returns:
        *Shape:* ``(tokens, hidden)``
    """
    first, second = np.split(rows.reshape(len(rows), heads, -1), 2, axis=-1)
    cosines, sines = cosines[:, None], sines[:, None]
    turned = np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)
    return np.asarray(turned.reshape(len(rows), -1), dtype=np.float32)
