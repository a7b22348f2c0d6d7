"""A terminal for commands, of as many columns as a test wants."""

import os
import pty
import subprocess
import sys

__all__ = ["at_terminal"]


def at_terminal(*arguments: object, columns: int = 100, **environment: str) -> tuple[int, str]:
    """Run a command at a terminal, and return its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    wanted = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    settings = {**wanted, "COLUMNS": str(columns), "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "laterank", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=settings)
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    return process.wait(), written.decode()
