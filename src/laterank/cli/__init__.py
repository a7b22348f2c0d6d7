"""The command line: ``laterank``, and ``python -m laterank``.

Every command is a module of this package and is imported when it is used; typer, which the extra ``laterank[cli]`` brings, is
imported below :func:`main` only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

NO_TYPER = 'laterank: the command line needs typer; install it with: pip install "laterank[cli]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows ``laterank``; None for the process's own.

    Returns:
        0 where all is well, 1 where something failed or was found wrong, 2 for a wrong use of a command.
    """
    try:
        import typer  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.stderr.write(f"{NO_TYPER}\n")
        return 2
    from laterank.cli.app import run

    return run(arguments)
