"""``laterank doctor``: whether a model works here, and what to do where it does not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from laterank.cli.options import Json, ModelArgument, Offline, OnnxFile, Quantized, Threads
from laterank.cli.output import one_line, print_json, write
from laterank.errors import InputError, LaterankError
from laterank.explanation.terminal import Style, terminal_width, wrapped

if TYPE_CHECKING:
    from laterank.diagnosis.doctor import Diagnosis
    from laterank.diagnosis.finding import Finding

__all__ = ["doctor"]

COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}
LABEL_WIDTH = max(len(status) for status in COLOURS) + 2
CHECK_WIDTH = 24


def doctor(
    model: ModelArgument = "bundled",
    onnx_file: OnnxFile = None,
    quantized: Quantized = None,
    threads: Threads = None,
    offline: Offline = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Write golden.json into the model's folder: what it scores here, for checks elsewhere.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Check a model: files, settings, markers, graph, projection, rows, batches, scores; say what to do.

    The exit code is 1 where something failed; a warning is none.
    """
    from laterank.diagnosis.doctor import diagnose

    diagnosis = diagnose(
        model, onnx_file=onnx_file, quantized=quantized, threads=threads, local_files_only=offline
    )
    if json:
        print_json(diagnosis.to_dict(), indent=2)
    else:
        _print(diagnosis)
    if record:
        _record(diagnosis, threads, quiet=json)
    elif not diagnosis.healthy:
        raise typer.Exit(1)


def _record(diagnosis: Diagnosis, threads: int | None, *, quiet: bool) -> None:
    from laterank.diagnosis.golden import record_golden
    from laterank.encoding.encoder import ColbertEncoder
    from laterank.model.golden import GOLDEN_FILE, write_golden

    golden_checks = ("golden scores", "recorded settings", "recorded tokens")
    wrong = [
        finding
        for finding in diagnosis.findings
        if finding.status == "failed" and finding.check not in golden_checks
    ]
    if wrong or diagnosis.files is None:
        raise LaterankError(
            f"nothing is recorded of a model that fails a check ({wrong[0].check}); cure that first"
        )
    if diagnosis.files.revision is not None:
        raise InputError(
            "--record writes into a folder, and this is the hub's cache; copy the model to a folder first"
        )
    target = diagnosis.files.folder / GOLDEN_FILE
    encoder = ColbertEncoder(diagnosis.files, threads=threads)
    encoder.say_nothing_of_cuts()
    try:
        write_golden(target, record_golden(encoder))
    except OSError as error:
        raise LaterankError(
            f"{target} cannot be written: {error.strerror}; make the folder writable"
        ) from error
    if not quiet:
        write(f"recorded in {target}")


def _print(diagnosis: Diagnosis) -> None:
    environment = diagnosis.environment
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    machine = f"{environment.system}, processors: {environment.processors}, threads: {environment.threads}"
    system = f"Python {environment.python} on {machine}; {packages}"
    for line in wrapped(system, terminal_width(None)) if sys.stdout.isatty() else [system]:
        write(line)
    write("")
    for finding in diagnosis.findings:
        _print_finding(finding)
    count = {status: sum(finding.status == status for finding in diagnosis.findings) for status in COLOURS}
    write("")
    if diagnosis.healthy:
        warned = f", {count['warning']} to look at" if count["warning"] else ""
        write(f"{diagnosis.model}: well{warned}")
    else:
        write(f"{diagnosis.model}: {count['failed']} failed, {count['warning']} to look at")


def _print_finding(finding: Finding) -> None:
    label = f"{finding.status:<{LABEL_WIDTH}}"
    if sys.stdout.isatty():  # typer takes the colour off elsewhere, and where NO_COLOR says so
        label = _coloured(label, COLOURS[finding.status])
    _print_part(label, finding.check, finding.found)
    for name, text in (("expected", finding.expected), ("to do", finding.cure)):
        if text:
            _print_part(" " * LABEL_WIDTH, name, text)


def _print_part(label: str, name: str, text: str) -> None:
    """Write a part of a finding on one line; at a terminal on several, below its name where there is no room beside it."""
    said, columns = one_line(text), terminal_width(None)
    if not sys.stdout.isatty():
        write(f"{label}{name:<{CHECK_WIDTH}}{said}")
        return
    beside = LABEL_WIDTH + CHECK_WIDTH
    indent = beside if columns >= 2 * beside else LABEL_WIDTH
    lines = wrapped(said, columns - indent)
    first = f"{name:<{CHECK_WIDTH}}{next(lines, '')}" if indent == beside else name
    write("\n".join([f"{label}{first}", *(" " * indent + line for line in lines)]))


def _coloured(text: str, colour: str) -> str:
    return typer.style(text, fg=colour) if Style(None).color else text
