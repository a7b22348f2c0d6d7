"""Runs examples as their readers would, offline."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, folder: Path) -> str:
    """Run an example from another, empty folder, with the hub out of reach, and return what it printed.

    It must leave nothing behind: neither there, nor among the temporary files, nor as a warning.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=folder,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / "hub"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        },
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert [path.name for path in folder.rglob("*")] == ["temporary"]
    return done.stdout
