"""Runs examples as their readers would, offline."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


# Where fastembed is installed, qdrant-client imports it, and with it onnxruntime before laterank can keep its telemetry
# from starting; that leaves a file among the temporary ones. docs/deployment.md says so.
NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}


def run_example(name: str, folder: Path, **variables: str) -> str:
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
            **variables,
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
