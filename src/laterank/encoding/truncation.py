"""Shorter token embeddings: the first numbers of a row, for models whose training put the most important ones there."""

from __future__ import annotations

import logging
from functools import cache

from laterank.errors import InputError
from laterank.model.files import ModelFiles

__all__ = ["check_truncate_dim"]

logger = logging.getLogger(__name__)


def check_truncate_dim(truncate_dim: int, *, size: int, files: ModelFiles) -> None:
    """Refuse more numbers than a model has; warn, once, of a size that it was not trained for.

    Matryoshka representation learning (arXiv 2205.13147) trains a few chosen sizes, ``config.matryoshka_dims``. Any
    other can be had and ranks worse than it has to.

    Args:
        truncate_dim: Numbers to keep of each token embedding.
        size: Numbers in the model's whole token embedding.
        files: The model.

    Raises:
        InputError: If ``truncate_dim`` is more than the model has.
    """
    trained = files.config.matryoshka_dims
    if truncate_dim > size:
        raise InputError(
            f"truncate_dim is {truncate_dim}, but {files.name} gives {size} numbers a token; "
            f"pass {_listed(trained) if trained else f'at most {size}'}, or None for all"
        )
    if truncate_dim != size and truncate_dim not in trained:
        advice = f"trained for {_listed(trained)}" if trained else "not trained to be truncated"
        _warn_once(
            f"truncate_dim is {truncate_dim}, but {files.name} was {advice}: "
            "it may rank much worse than with all numbers (config.matryoshka_dims)"
        )


def _listed(dims: tuple[int, ...]) -> str:
    return " or ".join(map(str, dims))


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)
