"""The commands by name, each imported when it is used, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import laterank
from laterank.cli.messages import say, spoken_log
from laterank.cli.output import boxes_fit
from laterank.errors import InputError, LaterankError

__all__ = ["COMMANDS", "app", "run"]

COMMANDS = (
    "rerank",
    "explain",
    "warm",
    "cache",
    "evaluate",
    "compare",
    "models",
    "doctor",
    "export",
    "quantize",
)
"""In the order of the help: ``laterank.cli.NAME`` has a function ``NAME``, or a ``typer.Typer`` of that name for subcommands."""

FAILED, USAGE, PIPE_CLOSED = 1, 2, 141
WIDEST = 100
"""Columns of help."""


class CommandsOnUse(TyperGroup):
    """Imports a command's module when the command is asked for; an error that laterank raises becomes one message."""

    def __init__(self, **options: Any) -> None:
        """Make the group, drawn in boxes where they fit."""
        super().__init__(**options)
        _unbox_where_narrow(self)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; where there is none of this name, say which is near it, or return None."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, n=1)
            if near and not ctx.resilient_parsing:
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        command = getattr(import_module(f"laterank.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, typer.Typer):
            function, command = command, typer.Typer(add_completion=False, rich_markup_mode="markdown")
            command.command(cmd_name)(function)
        found = typer.main.get_command(command)
        found.name = cmd_name
        for one in (found, *getattr(found, "commands", {}).values()):
            _unbox_where_narrow(one)
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what went wrong is one message on standard error and the exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except LaterankError as error:
            say(error)
            raise typer.Exit(USAGE if isinstance(error, InputError) else FAILED) from None
        except OSError as error:
            with suppress(OSError):  # an output that is no file
                os.dup2(
                    os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
                )  # nothing is flushed at the end
            if isinstance(error, BrokenPipeError):  # the reader, such as head, has what it wanted
                raise typer.Exit(PIPE_CLOSED) from None
            say(error)
            raise typer.Exit(FAILED) from None
        return result


def _unbox_where_narrow(command: Any) -> None:
    """Let a command's help and errors be plain lines where boxes do not fit."""
    if not boxes_fit():
        command.rich_markup_mode = None
        command.format_help = partial(_plain_help, command.format_help)


def _plain_help(draw: Callable[[Any, Any], None], context: Any, formatter: Any) -> None:
    """Write help at the terminal's width, a long option on a line of its own."""
    formatter.width = min(get_terminal_size().columns - 1, WIDEST)
    formatter.write_dl = partial(formatter.write_dl, col_max=formatter.width // 4)
    draw(context, formatter)


app = typer.Typer(
    name="laterank",
    cls=CommandsOnUse,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(laterank.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Put the documents that answer a query first, by late interaction (ColBERT), on ONNX Runtime."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115  # closed by the caller: written nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a sign that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        with spoken_log():
            app(args=arguments, prog_name="laterank")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0
