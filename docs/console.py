"""The pages, and the commands of their ``console`` blocks: ``$ `` starts one, ``> `` goes on with it, the rest is what it prints.

In what a command prints, ``...`` stands for any text. A block without a ``$ `` is no session and is left alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "training" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
"""All whose blocks run in the tests."""
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 0.02
"""Of decimal numbers: INT8 rounds differently on other processors."""
PROGRAMS = {"laterank": "-m laterank", "pip": "-m pip", "python": "", "uvicorn": "-m uvicorn"}
"""What Python runs as which program."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        typed: Its lines in the block, prompts included.
        command: The command itself.
        shown: What the page says that it prints.
    """

    typed: str
    command: str
    shown: str


def steps(body: str) -> list[Step]:
    """Return the commands of a block, each with what it prints."""
    found: list[Step] = []
    for piece in re.findall(r"^\$ .*\n(?:> .*\n|>\n)*|.*\n", body, re.MULTILINE):
        if piece.startswith("$ "):
            found.append(Step(piece, re.sub(r"^(\$|>) ?", "", piece, flags=re.MULTILINE), ""))
        elif found:
            found[-1] = Step(found[-1].typed, found[-1].command, found[-1].shown + piece)
    return found


class Shell:
    """Runs commands in a folder of their own, with the programs of this environment.

    Attributes:
        here: The folder that commands run in; their home is the one above.
        environment: Their environment variables.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder and the programs.

        Args:
            folder: An empty folder.
        """
        programs, self.here = folder / "bin", folder / "here"
        programs.mkdir()
        self.here.mkdir()
        for name, options in PROGRAMS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {options} "$@"\n')
            (programs / name).chmod(0o755)
        source = str(ROOT / "src")
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")])),
            "HOME": str(folder),
            "HF_HOME": str(folder / "hub"),
            "HF_HUB_OFFLINE": "1",
        }

    def run(self, command: str) -> str:
        """Run a command and return what it printed, errors included."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        return done.stdout


def matches(printed: str, shown: str) -> bool:
    """Compare words exactly, decimal numbers to a tolerance, and let ``...`` stand for anything."""
    pattern = ".*?".join(map(re.escape, NUMBER.sub("#", shown.strip()).split("...")))
    if not re.fullmatch(pattern, NUMBER.sub("#", printed.strip()), re.DOTALL):
        return False
    if "..." in shown:
        return True
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(abs(float(ours) - float(theirs)) <= TOLERANCE for ours, theirs in pairs)
