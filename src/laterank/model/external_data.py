"""Weights beside the graph, as plain files where onnxruntime refuses the links of the hub's cache."""

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from uuid import uuid4

from laterank.errors import ModelFormatError

__all__ = ["plain_copy_for_external_data"]

logger = logging.getLogger(__name__)

_COARSEST_CLOCK_SECONDS = 2.0  # FAT keeps even seconds


def plain_copy_for_external_data(onnx_path: Path, names: Sequence[str]) -> Path:
    """Give onnxruntime an ONNX file whose external data lies beside it as plain files.

    onnxruntime >= 1.24 refuses data behind links: at first all, by 1.32 what lies outside of the folder that the ONNX
    file's own link leads to and of the hub's layouts. Where there are links, the files are hard-linked, or copied where
    that is impossible, into a folder that stays: ``laterank/`` in the repository's cache, or for another folder
    ``laterank/`` in the assets cache of ``huggingface_hub``.

    Args:
        onnx_path: The ONNX file.
        names: Its external data files, relative to its folder, as the ONNX file itself names them.

    Returns:
        ``onnx_path`` where nothing needs to be done, else the ONNX file beside plain data.

    Raises:
        ModelFormatError: If a file is missing or outside the folder, or there is no way to store plain files.
    """
    onnx_path = onnx_path.absolute()
    folder, real_folder = onnx_path.parent, onnx_path.parent.resolve()
    for name in names:
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        if not inside or not (folder / name).is_file():
            raise ModelFormatError(f"{onnx_path} has its external data in {name!r}, no file in {folder}")
    files = [onnx_path.name, *names] if names else []
    if all((folder / file).resolve() == real_folder / file for file in files):
        return onnx_path
    plain_folder = _plain_folder(folder)
    try:
        for file in files:
            _place((folder / file).resolve(), plain_folder / file)
    except OSError as error:
        raise ModelFormatError(
            f"{onnx_path} has its external data behind links, which onnxruntime refuses, and plain files cannot be "
            f"stored in {plain_folder}: {error}. Make that folder writable, or copy the model with its links followed "
            f"(cp -rL {folder} MODEL) and pass the copy"
        ) from error
    return plain_folder / onnx_path.name


def _plain_folder(folder: Path) -> Path:
    for snapshot in (folder, *folder.parents):
        repository = snapshot.parent.parent
        if snapshot.parent.name == "snapshots" and repository.name.startswith("models--"):
            return repository / "laterank" / snapshot.name / folder.relative_to(snapshot)

    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "laterank" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]


def _place(source: Path, target: Path) -> None:
    """Put a plain file with the source's bytes at the target, all or nothing, with any number of processes at it."""
    if _is_current(source, target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        try:
            draft.hardlink_to(source)
        except OSError as error:  # another file system, one without links, or someone else's file
            logger.info("copying %s to %s, as it cannot be hard-linked (%s)", source, target, error)
            shutil.copy2(source, draft)
        draft.replace(target)
    except OSError:
        if not _is_current(source, target):  # Windows: another process has placed it and holds it open
            raise
    finally:
        draft.unlink(missing_ok=True)  # renaming one of two links to the same file leaves both


def _is_current(source: Path, target: Path) -> bool:
    if target.is_symlink() or not target.is_file():
        return False
    if target.samefile(source):
        return True
    old, new = source.stat(), target.stat()
    return old.st_size == new.st_size and abs(old.st_mtime - new.st_mtime) <= _COARSEST_CLOCK_SECONDS
