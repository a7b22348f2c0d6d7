"""The options of make_model.py, and what they rule out before hours of work."""

from __future__ import annotations

import argparse
from pathlib import Path

from distil import RowRecipe
from more_text import check_clients, check_names, names_of
from passages import PASSAGES
from preflight import check_inputs, check_same_run, recorded
from shipped import SHIPPED, check_start
from stages import FINAL, STAGES, Begin
from starts import STARTS
from technical import TECHNICAL_DEV


def arguments(description: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    shared = Path(__file__).parent.parent.parent / "shared"
    parser.add_argument(
        "--data", type=Path, default=shared / "data", help="folder with text/, train/ and ir/"
    )
    parser.add_argument(
        "--teachers", type=Path, default=shared / "models", help="folder with the two teachers"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("work"), help="caches and checkpoints; run again to resume"
    )
    parser.add_argument("--threads", type=int, default=2, help="of measurements; training takes two on a CPU")
    parser.add_argument(
        "--minutes",
        type=float,
        help="from the start; a training stage ends, with status 75, at the first checkpoint after which there is no time for another; "
        "run again to go on",
    )
    parser.add_argument(
        "--start",
        choices=sorted(STARTS),
        default="wide",
        help="all of the teacher's layers made narrower (narrowed: by more), seven of them whole, or all-MiniLM-L6-v2",
    )
    parser.add_argument(
        "--go-on", action="store_true", help="start from the shipped model; name a --first-shard of new text"
    )
    parser.add_argument("--first-shard", type=int, default=0, help="passages to begin with, in 2048s")
    parser.add_argument(
        "--passages-only", action="store_true", help="train on no text beyond --data, and download none"
    )
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="do without a package of more text",
    )
    parser.add_argument(
        "--no-debian",
        action="store_true",
        help="do without all packages of Debian bookworm, on another system; repeat it at every run",
    )
    parser.add_argument(
        "--fp32", action="store_true", help="measure the fp32 graph on the judged collections too"
    )
    parser.add_argument(
        "--ship", action="store_true", help="replace the files in the package when every check passes"
    )
    parser.add_argument(
        "--pack",
        type=Path,
        metavar="FOLDER",
        help="write what a lent machine trains on, and end; see lend.py",
    )
    parser.add_argument(
        "--take", type=Path, metavar="FOLDER", help="go on from what a lent machine trained in FOLDER"
    )
    options = parser.parse_args()
    if options.no_debian:
        options.leave_out = sorted({*options.leave_out, *names_of("apt")})
    try:
        check(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def check(options: argparse.Namespace) -> None:
    """Find out now what would otherwise end, or spoil, a run hours later.

    Raises:
        ValueError: If an input is missing, the shipped model is of another kind than the start, or the work folder was made
            with other options.
    """
    check_inputs(options.data, options.teachers)
    check_names(options.leave_out)
    if not (options.passages_only or (options.work / PASSAGES).exists()):
        check_clients(options.leave_out)
    if options.go_on:
        check_start(SHIPPED, STARTS[options.start])
    inputs = {"data": str(options.data.resolve()), "teachers": str(options.teachers.resolve())}
    check_same_run(options.work, inputs, options.work / "dev.jsonl")
    text = {"passages-only": options.passages_only, "leave-out": sorted(options.leave_out)}
    check_debian(options)
    check_same_run(options.work, text, *(options.work / name for name in (TECHNICAL_DEV, PASSAGES)))
    stage = stage_folder(options)
    of_stage = {
        "start": options.start,
        "go-on": options.go_on,
        "first-shard": options.first_shard,
        "shards": RowRecipe().shards,
    }
    check_same_run(stage, of_stage, stage / "start.pt", *(stage / name / FINAL for name in STAGES))


def check_debian(options: argparse.Namespace) -> None:
    """Name the option to repeat rather than all packages that it stands for.

    Raises:
        ValueError: If passages were drawn without Debian's packages, and this run has them.
    """
    before = recorded(options.work).get("leave-out", [])
    debian = set(names_of("apt"))
    if (options.work / PASSAGES).exists() and debian <= set(before) and not debian <= set(options.leave_out):
        raise ValueError(
            f"{options.work} was made with --no-debian, and results of both would mix: repeat it, or name another --work"
        )


def stage_folder(options: argparse.Namespace) -> Path:
    """Return where checkpoints and results lie: a run must not find those of another kind."""
    return options.work / (f"go-on-{options.first_shard}" if options.go_on else options.start)


def begin_of(options: argparse.Namespace) -> Begin:
    """Return where the run begins."""
    return Begin(options.start, options.go_on, options.first_shard)
