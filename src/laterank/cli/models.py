"""``laterank models``: which models are known."""

from __future__ import annotations

import typer

from laterank.model.registry import known_models

__all__ = ["models"]


def models() -> None:
    """List the models that laterank knows."""
    for model in known_models():
        typer.echo(model.name)
