"""Model id or path -> local folder: offline first, one commit, only the files that are needed.

A hub model is looked up in the cache of ``huggingface_hub`` first, in its documented layout
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache)::

    models--owner--name/
        refs/main                    the commit that "main" was when it was downloaded
        snapshots/<commit>/...       the files, as links into blobs/
        laterank/<commit>.json       ours: every file name of the commit, so that half a download is known as half
        laterank/<commit>/...        ours: plain files where onnxruntime refuses the links

What is there is used without a request, so ``main`` stays what it was on the first download. To move on, pass a newer
``revision`` or run ``hf download owner/name``.
"""

import errno
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from laterank.checks import expanded
from laterank.errors import InputError, InputTypeError, ModelError, ModelNotFoundError

__all__ = ["FileChooser", "ResolvedModel", "repository_folder", "resolve"]

logger = logging.getLogger(__name__)

FileChooser = Callable[[Sequence[str]], Sequence[str]]
"""Gets every file name of a model (posix, relative, sorted) and returns those that loading it needs.

It raises ModelFormatError or ModelNotFoundError where the names cannot satisfy it.
"""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)(\w|\w[\w.-]*\w)(/(\w|\w[\w.-]*\w))?", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)[^/\s:\\][^\s:\\]*")  # it becomes a path below refs/ and must not lead out
_LONGEST_HUB_ID = 96
_DEEPEST_FOLDER = 4


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """Where a model's files are.

    Attributes:
        name: What the caller gave, as text: a hub id or a path.
        folder: The local folder with the files, absolute.
        revision: The commit hash of a hub model, None for a folder of the caller's.
        files: What ``choose`` asked for, relative to the folder.
    """

    name: str
    folder: Path
    revision: str | None
    files: tuple[str, ...] = ()


def resolve(
    model: str | os.PathLike[str],
    choose: FileChooser,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> ResolvedModel:
    """Find a model's files: in a folder, in the hub's cache, or on the hub, in this order.

    An existing folder wins over a hub id of the same name. A cached hub model that has every file that ``choose``
    asks for is used without any request.

    Args:
        model: A folder, or a hub id such as ``"owner/name"``.
        choose: Which of a model's files to get.
        revision: A branch, a tag or a commit hash of a hub model; None is ``"main"``, as it was when first downloaded.
        cache_dir: The hub's cache; None is that of ``huggingface_hub`` (``HF_HUB_CACHE``, ``HF_HOME``).
        local_files_only: Never ask the hub. ``HF_HUB_OFFLINE=1`` does the same for the process.
        token: A hub token; None is that of ``HF_TOKEN`` or ``hf auth login``, False is none, True is one for sure.

    Returns:
        The folder, which has every file that ``choose`` asked for.

    Raises:
        InputError: If ``model`` is a file or no hub id, or ``revision`` does not go with it.
        ModelNotFoundError: If there is no such folder, repository or revision, or it is out of reach.
        ModelFormatError: What ``choose`` raises about the files of the folder or the repository.
    """
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if not isinstance(name, str):
        raise InputTypeError(f"model is {model!r}, expected a folder or a hub id such as 'owner/name'")
    if not name:
        raise InputError("model is an empty text, expected a folder or a hub id such as 'owner/name'")
    if (folder := _local_folder(name, is_path=isinstance(model, os.PathLike))) is not None:
        if revision is not None:
            raise InputError(f"revision={revision!r} is for hub models, but model is the folder {folder}")
        return ResolvedModel(name, folder, None, tuple(choose(_file_names(folder))))

    from huggingface_hub import constants

    revision = "main" if revision is None else revision
    _check_id_and_revision(name, revision)
    cache = expanded(constants.HF_HUB_CACHE if cache_dir is None else cache_dir).absolute()
    try:
        return _from_cache(name, choose, revision, cache)
    except ModelError as error:
        if local_files_only or constants.HF_HUB_OFFLINE:
            setting = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE is set"
            raise ModelNotFoundError(
                f"{name!r} at revision {revision!r} cannot be loaded from the cache {cache}: {error}. The hub was not "
                f"asked ({setting}). {_without_a_network(name, revision)}"
            ) from error
        logger.debug("%s is not ready in the cache (%s), asking the hub", name, error)
    return _from_hub(name, choose, revision, cache, token=token)


def _local_folder(name: str, *, is_path: bool) -> Path | None:
    """The folder that a name stands for, absolute, or None where it can be a hub id."""
    try:
        path = expanded(name).absolute()
        if path.is_dir():
            return path
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # no access, a null byte, no such user's home
        raise ModelNotFoundError(f"model={name!r} cannot be looked at as a path: {error}") from error
    if is_file:
        hint = f" and onnx_file={path.name!r}" if path.suffix == ".onnx" else ""
        raise InputError(f"model={name!r} is a file, expected a folder; pass {str(path.parent)!r}{hint}")
    if "://" in name:
        raise InputError(f"model={name!r} is an address, expected a folder or a hub id such as 'owner/name'")
    relative = name.startswith((".", "~")) or name.count("/") > 1 or (os.sep == "\\" and os.sep in name)
    if is_path or relative or Path(name).is_absolute():
        hint = "; a hub id is passed as a str" if is_path and _HUB_ID.fullmatch(name) else ""
        raise ModelNotFoundError(f"model={name!r}: there is no folder {path}{hint}")
    return None


def _check_id_and_revision(name: str, revision: str) -> None:
    if not _HUB_ID.fullmatch(name) or len(name) > _LONGEST_HUB_ID:
        raise InputError(
            f"model={name!r} is no folder here ({Path(name).absolute()}) and no hub id: expected 'owner/name', each of "
            "ASCII letters, digits, '_', and inside also '-' and '.', without '--' or '..', not ending in '.git', "
            f"at most {_LONGEST_HUB_ID} characters together"
        )
    if not _REVISION.fullmatch(revision):
        raise InputError(f"revision={revision!r} is no branch, tag or commit hash, such as 'main' or 'v1.0'")


def _file_names(folder: Path) -> list[str]:
    """Every file below a folder, without hidden folders (.git, .cache) and without what is nested too deep for a model."""
    names: list[str] = []
    unreadable: list[OSError] = []
    # Links to folders are followed; the depth limit also ends their loops.
    for parent, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=True):
        inside = Path(parent).relative_to(folder)
        deep_enough = len(inside.parts) >= _DEEPEST_FOLDER
        folders[:] = [] if deep_enough else [name for name in folders if not name.startswith(".")]
        names += [(inside / name).as_posix() for name in files if (folder / inside / name).is_file()]
    if unreadable and not names:
        raise ModelNotFoundError(f"{folder} cannot be read: {unreadable[0]}") from unreadable[0]
    return sorted(names)


def _from_cache(name: str, choose: FileChooser, revision: str, cache: Path) -> ResolvedModel:
    repository = repository_folder(name, cache)
    try:
        commit = revision if _COMMIT.fullmatch(revision) else _read(repository / "refs" / revision).strip()
        folder = repository / "snapshots" / commit
        if not commit or not folder.is_dir():
            raise ModelNotFoundError(f"nothing of it is in {repository}")
        recorded = _recorded_names(repository, commit)
        needed = choose(_file_names(folder) if recorded is None else recorded)
        missing = [file for file in needed if not (folder / file).is_file()]
    except OSError as error:  # such as another user's cache
        raise ModelNotFoundError(f"{repository} cannot be read: {error}") from error
    if missing:
        raise ModelNotFoundError(f"{folder} lacks {', '.join(missing)}")
    return ResolvedModel(name, folder, commit, tuple(needed))


def _recorded_names(repository: Path, commit: str) -> list[str] | None:
    """All file names of a commit where a download wrote them down: ours, or one of huggingface_hub >= 1."""
    for record in (repository / "laterank" / f"{commit}.json", repository / "trees" / f"{commit}.json"):
        try:
            return sorted(json.loads(_read(record))["files"])
        except (ValueError, KeyError, TypeError):  # not there, or of another format: as good as not there
            continue
    return None


def _from_hub(
    name: str, choose: FileChooser, revision: str, cache: Path, *, token: str | bool | None
) -> ResolvedModel:
    from huggingface_hub import HfApi, constants, hf_hub_download

    with _hub_errors_explained(name, revision, cache):
        # huggingface_hub waits without end where it is given no timeout.
        info = HfApi().model_info(name, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT, token=token)
    if info.sha is None or info.siblings is None:
        raise ModelNotFoundError(f"{constants.ENDPOINT} gave no commit for {name!r}; is HF_ENDPOINT a hub?")
    names = sorted(sibling.rfilename for sibling in info.siblings)
    needed = choose(names)
    repository = repository_folder(name, cache)
    _write(repository / "laterank" / f"{info.sha}.json", json.dumps({"files": names}), repository)
    for file in needed:
        with _hub_errors_explained(name, revision, cache):
            hf_hub_download(name, file, revision=info.sha, cache_dir=str(cache), token=token)
    if revision != info.sha:
        # Only now: a revision that the cache knows by name has all its files.
        _write(repository / "refs" / revision, info.sha, repository)
    return ResolvedModel(name, repository / "snapshots" / info.sha, info.sha, tuple(needed))


@contextmanager
def _hub_errors_explained(name: str, revision: str, cache: Path) -> Iterator[None]:
    from huggingface_hub.utils import HfHubHTTPError  # type: ignore[attr-defined]  # 0.23 has it nowhere else

    # OSError: all of requests, local disks, most of hf_xet. The bases of HfHubHTTPError: all of the HTTP client of
    # this version, whichever it is. ValueError: no JSON, such as a proxy's page. RuntimeError: the rest of hf_xet.
    expected: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, *HfHubHTTPError.__bases__)
    try:
        yield
    except expected as error:
        raise ModelNotFoundError(_explanation(error, name, revision, cache)) from error


def _explanation(error: Exception, name: str, revision: str, cache: Path) -> str:
    """What a failed request means for the caller, and what to do about it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # 0.23 has them nowhere else
        GatedRepoError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # huggingface_hub wraps a refusal as "not in the cache"
    hub, status = constants.ENDPOINT, getattr(getattr(error, "response", None), "status_code", None)
    sign_in = "pass token=..., set HF_TOKEN or run `hf auth login`"
    if isinstance(error, LocalTokenNotFoundError):
        return f"token=True, but this machine has no hub token; {sign_in}"
    if isinstance(error, GatedRepoError):
        return (
            f"{name!r} is gated: accept its licence at {hub}/{name} and, as the account that did, {sign_in}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{name!r} is neither a folder ({Path(name).absolute()}) nor a public model on {hub}; "
            f"check its spelling or, if it is private, {sign_in}"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{name!r} has no revision {revision!r} on {hub}; pass a branch, a tag or a full commit hash of it"
    if status in (401, 403):
        return f"{hub} refused {name!r} ({status}): the token is not valid or may not read it; {sign_in}"
    if isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC):
        return f"{name!r} cannot be stored in {cache}: {error}; pass another cache_dir or set HF_HOME"
    reason = " ".join(str(error).split())
    return (
        f"{name!r} at revision {revision!r} could not be downloaded from {hub} ({type(error).__name__}: {reason}). "
        "Behind a proxy set HTTPS_PROXY, and SSL_CERT_FILE where it has a certificate of its own; for a mirror HF_ENDPOINT. "
        f"{_without_a_network(name, revision)}"
    )


def _without_a_network(name: str, revision: str) -> str:
    command = f"hf download {name}" + (f" --revision {revision}" if revision != "main" else "")
    return (
        f"Without a network: load it once where there is one (or run `{command}` there) and bring the cache along, or "
        "copy its folder here and pass the folder's path."
    )


def repository_folder(name: str, cache: Path) -> Path:
    """Return the folder of a hub model in a cache."""
    return cache / f"models--{name.replace('/', '--')}"


def _read(path: Path) -> str:
    """A small file's text, empty where there is none to read."""
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return ""


def _write(path: Path, text: str, repository: Path) -> None:
    """Note something in the cache, all or nothing; a cache that cannot be written costs requests, not the model."""
    # Drafts lie in our own folder: huggingface_hub takes any file below refs/ for a revision.
    draft = repository / "laterank" / f".{uuid4().hex}"
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, "utf-8")
        draft.replace(path)
    except OSError as error:
        logger.warning("%s cannot be written (%s); the next load will ask the hub again", path, error)
