"""Where a model's files come from: a folder, the hub's cache, or a hub (here one on loopback)."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hub_server import HubModel, HubServer
from huggingface_hub import constants, file_download, hf_api

from laterank.errors import InputError, InputTypeError, ModelFormatError, ModelNotFoundError
from laterank.model.external_data import plain_copy_for_external_data
from laterank.model.hub import resolve

NAME = "owner/tiny-colbert"
FIRST, SECOND = "1" * 40, "2" * 40
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"model": {}}',
    "model.onnx": b"onnx" * 1000,
    "model.onnx_data": b"data" * 1000,
    "model.safetensors": b"weights" * 1000,
    "onnx/model_int8.onnx": b"int8" * 1000,
    "README.md": b"# Tiny",
}
NEEDED = ["config.json", "model.onnx", "model.onnx_data", "tokenizer.json"]


def choose(names: Sequence[str]) -> Sequence[str]:
    """The loader's part: an ONNX file, its data and a tokenizer, and a config.json where there is one."""
    if missing := [name for name in ("model.onnx", "tokenizer.json") if name not in names]:
        raise ModelFormatError(f"no {missing[0]} among {len(names)} files")
    return [name for name in NEEDED if name in names]


def fill_cache(
    cache: Path,
    files: dict[str, bytes],
    *,
    name: str = NAME,
    commit: str = FIRST,
    refs: Sequence[str] = ("main",),
) -> Path:
    """Lay files out as huggingface_hub does: blobs by hash, snapshots of links to them, refs to commits."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for file, content in files.items():
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = snapshot / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    for ref in refs:
        (repository / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (repository / "refs" / ref).write_text(commit)
    return snapshot


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, sorted."""
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache folder of the hub."""
    return tmp_path / "hub"


@pytest.fixture
def server() -> Iterator[HubServer]:
    """A running hub with one model, whose main branch is its first commit."""
    running = HubServer(models={NAME: HubModel(commits={FIRST: dict(FILES)}, refs={"main": FIRST})})
    with closing(running.start()):
        yield running


@pytest.fixture
def hub(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """The same, and this process asks it: huggingface_hub has read HF_ENDPOINT and the rest long ago."""
    settings = {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "home" / "token"),
        "AGENT_HARNESSES_PATH": str(tmp_path / "home" / "agents.json"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_ETAG_TIMEOUT": 5,
    }
    for module in (constants, file_download, hf_api):
        for setting, value in settings.items():
            if hasattr(module, setting):
                monkeypatch.setattr(module, setting, value)
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    return server


def start(code: str, **variables: str | Path) -> subprocess.Popen[str]:
    """Run code in a fresh process, as huggingface_hub reads its environment variables on import."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    prelude = f"""
from pathlib import Path
from laterank.model.external_data import plain_copy_for_external_data
from laterank.model.hub import resolve
NAME = {NAME!r}
def choose(names):
    return [name for name in {NEEDED} if name in names]
"""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", prelude + code],
        env=kept | {key: str(value) for key, value in variables.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- a folder of the caller's ---------------------------------------------------------------------------------------


def fill_folder(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """Write files as they are."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_folder_is_used_as_it_is(tmp_path: Path, as_given: Callable[[Path], str | Path]) -> None:
    """A local folder needs no hub and has no revision."""
    folder = fill_folder(tmp_path / "model")
    resolved = resolve(as_given(folder), choose)
    assert (resolved.name, resolved.folder, resolved.revision) == (str(folder), folder, None)


def test_the_chooser_sees_every_file_but_those_in_hidden_folders(tmp_path: Path) -> None:
    """The names are posix, relative and sorted."""
    folder = fill_folder(
        tmp_path / "model", FILES | {".git/objects/00/11": b"", "1_Dense/config.json": b"{}"}
    )
    seen: list[str] = []
    resolve(folder, lambda names: seen.extend(names) or [])
    assert seen == sorted([*FILES, "1_Dense/config.json"])


def test_links_within_a_folder_are_followed_and_loops_end(tmp_path: Path) -> None:
    """A linked subfolder counts, a link to itself does not hang, a broken link is no file."""
    folder = fill_folder(tmp_path / "model", {"config.json": b"{}"})
    (folder / "onnx").symlink_to(fill_folder(tmp_path / "elsewhere", {"model.onnx": b"onnx"}))
    (folder / "onnx" / "loop").symlink_to(folder)
    (folder / "broken.json").symlink_to(tmp_path / "nowhere")
    seen: list[str] = []
    resolve(folder, lambda names: seen.extend(names) or [])
    assert {"config.json", "onnx/model.onnx"} <= set(seen)
    assert "broken.json" not in seen


def test_a_home_relative_and_a_relative_folder_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that comes back does not depend on the working directory."""
    folder = fill_folder(tmp_path / "model")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert resolve("~/model", choose).folder == folder
    assert resolve("model", choose).folder == folder


def test_a_folder_wins_over_a_hub_id_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A string of the form owner/name that is a folder here is that folder."""
    folder = fill_folder(tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    assert resolve(NAME, choose, local_files_only=True).folder == folder


def test_a_folder_that_lacks_a_file_raises_what_the_chooser_raises(tmp_path: Path) -> None:
    """The chooser's own words reach the caller."""
    folder = fill_folder(tmp_path / "model", {"tokenizer.json": b"{}"})
    with pytest.raises(ModelFormatError, match=r"no model\.onnx among 1 files"):
        resolve(folder, choose)


@pytest.mark.parametrize(
    "path", ["./missing", "../missing", "~/no/such/model", "a/b/c", "/no/such/model", "."]
)
def test_a_path_without_a_folder_names_what_was_given_and_where_it_was_looked_for(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks like a path is never taken for a hub id."""
    monkeypatch.chdir(tmp_path)
    if path == ".":
        path = Path("owner/missing")  # type: ignore[assignment]  # a PathLike is a path, whatever it looks like
    with pytest.raises(ModelNotFoundError) as error:
        resolve(path, choose)
    assert f"model={str(path)!r}" in str(error.value)
    assert str(Path(path).expanduser().absolute()) in str(error.value)


def test_a_file_is_refused_with_the_folder_and_onnx_file_to_pass(tmp_path: Path) -> None:
    """Passing the .onnx file itself is a common slip."""
    folder = fill_folder(tmp_path / "model")
    with pytest.raises(
        InputError, match=r"is a file, expected a folder; .*model' and onnx_file='model\.onnx'"
    ):
        resolve(folder / "model.onnx", choose)
    with pytest.raises(InputError, match=r"is a file, expected a folder; pass '.*model'$"):
        resolve(folder / "config.json", choose)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder has no history."""
    with pytest.raises(InputError, match="revision='main' is for hub models"):
        resolve(fill_folder(tmp_path / "model"), choose, revision="main")


@pytest.mark.parametrize(
    "name",
    [
        "owner/na me",
        "owner--name",
        "-owner/name",
        "owner/name.",
        "owner/",
        "x" * 97,
        "a/b.git",
        "a/b\n",
        "ä/b",
    ],
)
def test_a_malformed_hub_id_is_refused_before_anything_is_asked(name: str) -> None:
    """The error shows the form that is expected."""
    with pytest.raises(InputError, match="expected 'owner/name'"):
        resolve(name, choose)


@pytest.mark.parametrize("name", ["", "https://huggingface.co/owner/name", "hf://owner/name"])
def test_an_empty_name_and_an_address_are_refused(name: str) -> None:
    """Neither is a folder or a hub id."""
    with pytest.raises(InputError, match="expected a folder or a hub id"):
        resolve(name, choose)


@pytest.mark.parametrize("model", [None, 7, b"owner/name"])
def test_another_type_than_str_or_path_is_refused(model: object) -> None:
    """The error shows what was given."""
    with pytest.raises(InputTypeError, match="model is "):
        resolve(model, choose)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("revision", ["", "../../x", "/etc", "a b", "a\\b"])
def test_a_malformed_revision_is_refused(revision: str) -> None:
    """A revision becomes a file name in the cache and must not lead out of it."""
    with pytest.raises(InputError, match="is no branch, tag or commit hash"):
        resolve(NAME, choose, revision=revision)


# --- the cache ------------------------------------------------------------------------------------------------------


def test_a_cached_model_is_used_without_a_request(hub: HubServer, cache: Path) -> None:
    """Offline first: the hub is not even asked whether there is something newer."""
    snapshot = fill_cache(cache, FILES)
    hub.models[NAME].refs["main"] = SECOND
    resolved = resolve(NAME, choose, cache_dir=cache)
    assert (resolved.name, resolved.folder, resolved.revision) == (NAME, snapshot, FIRST)
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/1", SECOND])
def test_a_cached_revision_is_found_by_tag_pull_request_and_commit(cache: Path, revision: str) -> None:
    """A revision is looked up as huggingface_hub stores it."""
    fill_cache(cache, FILES)
    snapshot = fill_cache(cache, FILES, commit=SECOND, refs=["v1.0", "refs/pr/1"])
    assert resolve(NAME, choose, revision=revision, cache_dir=cache, local_files_only=True).folder == snapshot


def test_a_legacy_name_without_an_owner_is_a_hub_id(cache: Path) -> None:
    """Old models such as bert-base-uncased have no owner."""
    snapshot = fill_cache(cache, FILES, name="tiny")
    assert resolve("tiny", choose, cache_dir=cache, local_files_only=True).folder == snapshot


def test_local_files_only_says_what_was_looked_for_and_how_to_get_it(hub: HubServer, cache: Path) -> None:
    """Nothing cached: the error names the model, the revision, the cache and the way out."""
    with pytest.raises(ModelNotFoundError) as error:
        resolve(NAME, choose, revision="v2", cache_dir=cache, local_files_only=True)
    for part in (
        NAME,
        "'v2'",
        str(cache),
        "local_files_only=True",
        f"hf download {NAME} --revision v2",
        "pass the folder's path",
    ):
        assert part in str(error.value)
    assert hub.requests == []


def test_local_files_only_names_the_file_that_a_cached_model_lacks(cache: Path) -> None:
    """A snapshot without its ONNX file is no model."""
    fill_cache(cache, {name: FILES[name] for name in ("config.json", "tokenizer.json")})
    with pytest.raises(ModelNotFoundError, match=r"no model\.onnx among 2 files") as error:
        resolve(NAME, choose, cache_dir=cache, local_files_only=True)
    assert isinstance(error.value.__cause__, ModelFormatError)


def test_a_link_to_a_blob_that_is_gone_is_a_missing_file(cache: Path) -> None:
    """Half a model never comes back."""
    snapshot = fill_cache(cache, FILES)
    (snapshot / "model.onnx").resolve().unlink()
    with pytest.raises(ModelNotFoundError, match=r"no model\.onnx"):
        resolve(NAME, choose, cache_dir=cache, local_files_only=True)


def test_what_huggingface_hub_noted_of_a_commit_shows_that_an_optional_file_is_missing(cache: Path) -> None:
    """A download by another tool without config.json is not taken for a model that has none."""
    snapshot = fill_cache(
        cache, {name: FILES[name] for name in ("model.onnx", "model.onnx_data", "tokenizer.json")}
    )
    assert resolve(NAME, choose, cache_dir=cache, local_files_only=True).folder == snapshot
    tree = snapshot.parent.parent / "trees" / f"{FIRST}.json"
    tree.parent.mkdir()
    tree.write_text(json.dumps({"format_version": 1, "files": {name: {"size": 1} for name in FILES}}))
    with pytest.raises(ModelNotFoundError, match=r"lacks config\.json"):
        resolve(NAME, choose, cache_dir=cache, local_files_only=True)
    tree.write_text("[1, 2")
    assert resolve(NAME, choose, cache_dir=cache, local_files_only=True).folder == snapshot


def test_the_cache_of_hf_home_and_hf_hub_offline_are_respected(server: HubServer, tmp_path: Path) -> None:
    """The variables that users set for huggingface_hub are all there is to set."""
    snapshot = fill_cache(tmp_path / "home" / "hub", FILES)
    code = """
print(resolve(NAME, choose).folder)
try:
    resolve("owner/other", choose)
except Exception as error:
    print(type(error).__name__, error)
"""
    process = start(code, HF_HOME=tmp_path / "home", HF_ENDPOINT=server.url, HF_HUB_OFFLINE="1")
    output, errors = process.communicate(timeout=30)
    found, refusal = output.splitlines()
    assert (found, errors) == (str(snapshot), "")
    assert refusal.startswith("ModelNotFoundError")
    assert "HF_HUB_OFFLINE is set" in refusal
    assert server.requests == []


def test_an_unreadable_cache_is_an_error_that_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's cache is not reported as an empty one."""

    def refuse(path: Path, *_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    fill_cache(cache, FILES)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ModelNotFoundError, match=r"cannot be read: .*Permission denied"):
        resolve(NAME, choose, cache_dir=cache, local_files_only=True)


# --- the hub --------------------------------------------------------------------------------------------------------


def test_only_the_needed_files_are_downloaded(hub: HubServer, cache: Path) -> None:
    """No README, no second precision, no PyTorch weights; large files come from the hub's other host."""
    resolved = resolve(NAME, choose, cache_dir=cache)
    assert hub.downloads == NEEDED
    assert (resolved.name, resolved.revision) == (NAME, FIRST)
    assert {file.name: file.read_bytes() for file in resolved.folder.iterdir()} == {
        name: FILES[name] for name in NEEDED
    }


def test_a_second_load_makes_no_request(hub: HubServer, cache: Path) -> None:
    """The download leaves the cache as the offline look-up expects it, for names and for commits."""
    first = resolve(NAME, choose, cache_dir=cache)
    hub.requests.clear()
    assert resolve(NAME, choose, cache_dir=cache) == first
    assert resolve(NAME, choose, cache_dir=cache, revision=FIRST) == first
    assert resolve(NAME, choose, cache_dir=cache, revision="main", local_files_only=True) == first
    assert hub.requests == []


def test_the_cache_stays_one_that_huggingface_hub_understands(hub: HubServer, cache: Path) -> None:
    """Our notes beside the snapshots do not disturb its own tools."""
    from huggingface_hub import scan_cache_dir, snapshot_download

    resolved = resolve(NAME, choose, cache_dir=cache)
    report = scan_cache_dir(cache)
    assert report.warnings == []
    assert [
        (revision.commit_hash, set(revision.refs)) for revision in next(iter(report.repos)).revisions
    ] == [(FIRST, {"main"})]
    assert (
        Path(snapshot_download(NAME, cache_dir=cache, local_files_only=True, allow_patterns=NEEDED))
        == resolved.folder
    )


def test_another_choice_of_files_completes_the_same_snapshot(hub: HubServer, cache: Path) -> None:
    """Asking for the int8 file later downloads that file alone."""
    first = resolve(NAME, choose, cache_dir=cache)
    hub.requests.clear()
    second = resolve(NAME, lambda names: [*choose(names), "onnx/model_int8.onnx"], cache_dir=cache)
    assert (second.folder, second.revision) == (first.folder, first.revision)
    assert set(second.files) == {*first.files, "onnx/model_int8.onnx"}
    assert hub.downloads == ["onnx/model_int8.onnx"]


def test_a_pinned_revision_is_downloaded_whatever_main_is(hub: HubServer, cache: Path) -> None:
    """Commits and tags are got as they are, and main is not recorded on the way."""
    hub.models[NAME].commits[SECOND] = FILES | {"config.json": b'{"newer": true}'}
    hub.models[NAME].refs |= {"main": SECOND, "v1.0": FIRST}
    for revision in (FIRST, "v1.0"):
        resolved = resolve(NAME, choose, cache_dir=cache, revision=revision)
        assert (resolved.revision, (resolved.folder / "config.json").read_bytes()) == (FIRST, b"{}")
    assert resolve(NAME, choose, cache_dir=cache).revision == SECOND


def test_all_files_come_from_one_commit(hub: HubServer, cache: Path) -> None:
    """A push between the list of files and their download changes nothing."""
    hub.models[NAME].commits[SECOND] = FILES | {"config.json": b'{"newer": true}'}

    def push_then_choose(names: Sequence[str]) -> Sequence[str]:
        hub.models[NAME].refs["main"] = SECOND
        return choose(names)

    resolved = resolve(NAME, push_then_choose, cache_dir=cache)
    assert (resolved.revision, (resolved.folder / "config.json").read_bytes()) == (FIRST, b"{}")


def test_file_names_that_are_patterns_are_taken_literally(hub: HubServer, cache: Path) -> None:
    """Brackets, stars, spaces and other letters in a file name are no wildcards."""
    names = ["model[1].onnx", "tokenizer *.json", "größe.json"]
    hub.models[NAME].commits[FIRST] = {name: name.encode() for name in names} | {
        "model1.onnx": b"not this one"
    }
    resolved = resolve(NAME, lambda _: names, cache_dir=cache)
    assert names_in(resolved.folder) == sorted(names)


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: HubServer, cache: Path) -> None:
    """A private model is found with it, and the host of the large files never sees it."""
    hub.models[NAME].private = True
    resolve(NAME, choose, cache_dir=cache, token="hf_good")
    asked = [request for request in hub.requests if NAME in request.path]
    assert {request.token for request in asked} == {"hf_good"}
    assert {request.token for request in hub.requests if request.path.startswith("/cdn/")} == {None}


def test_the_environment_sets_endpoint_cache_and_token(server: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_TOKEN work as they do for huggingface_hub."""
    server.models[NAME].gated = True
    process = start(
        "print(resolve(NAME, choose).folder)",
        HF_ENDPOINT=server.url,
        HF_HOME=tmp_path / "home",
        HF_TOKEN="hf_good",
    )
    output, errors = process.communicate(timeout=30)
    assert Path(output.strip()).parent.parent.parent == tmp_path / "home" / "hub", errors
    assert server.downloads == NEEDED


def test_a_repository_that_cannot_satisfy_the_chooser_is_an_error_without_a_download(
    hub: HubServer, cache: Path
) -> None:
    """A repository without an ONNX file costs one request."""
    del hub.models[NAME].commits[FIRST]["model.onnx"]
    with pytest.raises(ModelFormatError, match=r"no model\.onnx among 6 files"):
        resolve(NAME, choose, cache_dir=cache)
    assert hub.downloads == []


def test_a_gated_model_says_to_accept_its_licence(hub: HubServer, cache: Path) -> None:
    """Its list of files is public, its files are not; with and without a token."""
    hub.models[NAME].gated = True
    for token in (False, "hf_other"):
        with pytest.raises(ModelNotFoundError, match=r"gated: accept its licence at .*HF_TOKEN") as error:
            resolve(NAME, choose, cache_dir=cache, token=token)
        assert error.value.__cause__ is not None
    assert resolve(NAME, choose, cache_dir=cache, token="hf_good").revision == FIRST


def test_a_gated_model_that_was_refused_is_not_found_offline_either(hub: HubServer, cache: Path) -> None:
    """A refused download leaves no revision behind that looks complete."""
    hub.models[NAME].gated = True
    with pytest.raises(ModelNotFoundError, match="gated"):
        resolve(NAME, choose, cache_dir=cache, token=False)
    with pytest.raises(ModelNotFoundError, match="nothing of it is in"):
        resolve(NAME, choose, cache_dir=cache, local_files_only=True)


@pytest.mark.parametrize("token", [False, "hf_other"])
def test_a_model_that_is_not_there_or_private_says_both(
    hub: HubServer, cache: Path, token: bool | str
) -> None:
    """The hub does not tell the two apart, and a misspelt folder ends here too."""
    with pytest.raises(ModelNotFoundError) as error:
        resolve("owner/no-such", choose, cache_dir=cache, token=token)
    for part in (
        "'owner/no-such'",
        str(Path("owner/no-such").absolute()),
        hub.url,
        "spelling",
        "private",
        "HF_TOKEN",
    ):
        assert part in str(error.value)


def test_a_revision_that_is_not_there_is_named(hub: HubServer, cache: Path) -> None:
    """The repository exists, the tag does not."""
    with pytest.raises(ModelNotFoundError, match=r"has no revision 'v9' on http"):
        resolve(NAME, choose, cache_dir=cache, revision="v9")


def test_a_token_that_is_demanded_and_not_there_is_named(hub: HubServer, cache: Path) -> None:
    """token=True means that one is stored."""
    with pytest.raises(ModelNotFoundError, match=r"no hub token; .*HF_TOKEN"):
        resolve(NAME, choose, cache_dir=cache, token=True)


@pytest.mark.parametrize("refused", ["/api/models/", "/resolve/"])
def test_a_refused_token_is_told_from_a_missing_model(hub: HubServer, cache: Path, refused: str) -> None:
    """A 403 without further words, for the list of files or for the files."""
    hub.broken_status[refused] = 403
    with pytest.raises(ModelNotFoundError, match=r"refused .*\(403\).*token"):
        resolve(NAME, choose, cache_dir=cache)


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxy_that_answers_with_a_page_of_its_own_is_a_connection_problem(
    hub: HubServer, cache: Path, status: int
) -> None:
    """A log-in page of a hotel is no list of files."""
    hub.broken_status["/"] = status
    with pytest.raises(ModelNotFoundError, match=r"could not be downloaded .*HTTPS_PROXY"):
        resolve(NAME, choose, cache_dir=cache)


def test_an_unreachable_hub_is_no_error_for_a_cached_model_and_a_clear_one_otherwise(
    hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the hub, the proxy, the mirror and the ways without a network."""
    snapshot = fill_cache(cache, FILES)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    if hasattr(hf_api, "ENDPOINT"):
        monkeypatch.setattr(hf_api, "ENDPOINT", "http://127.0.0.1:9")
    assert resolve(NAME, choose, cache_dir=cache).folder == snapshot
    with pytest.raises(ModelNotFoundError) as error:
        resolve(NAME, choose, cache_dir=cache, revision="v2")
    for part in (
        NAME,
        "'v2'",
        "http://127.0.0.1:9",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "HF_ENDPOINT",
        "hf download",
        "folder's path",
    ):
        assert part in str(error.value)


def test_a_cache_that_cannot_be_written_says_to_choose_another(hub: HubServer, tmp_path: Path) -> None:
    """A cache_dir that is a file stands for every folder that refuses us."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelNotFoundError, match=r"cannot be stored in .*HF_HOME"):
        resolve(NAME, choose, cache_dir=tmp_path / "file")


@pytest.mark.parametrize("revision", ["main", FIRST])
def test_a_killed_download_is_no_model_offline_and_completes_online(
    server: HubServer, tmp_path: Path, revision: str
) -> None:
    """The process died at config.json, the last file, without which the chooser would be content too."""
    code = f"print(resolve(NAME, lambda names: choose(names)[::-1], revision={revision!r}).revision)"
    server.stalled.add("config.json")
    with start(code, HF_ENDPOINT=server.url, HF_HOME=tmp_path) as process:
        stalling = server.stalling.wait(20)
        process.kill()
    assert stalling
    with pytest.raises(ModelNotFoundError, match=r"lacks config\.json|nothing of it"):
        resolve(NAME, choose, revision=revision, cache_dir=tmp_path / "hub", local_files_only=True)
    server.stalled.clear()
    server.requests.clear()
    output, errors = start(code, HF_ENDPOINT=server.url, HF_HOME=tmp_path).communicate(timeout=30)
    assert output.strip() == FIRST, errors
    assert server.downloads == ["config.json"]


def test_two_processes_at_once_both_get_the_model(server: HubServer, tmp_path: Path) -> None:
    """Both start on the same empty cache."""
    code = "folder = resolve(NAME, choose).folder; print({path.name: path.stat().st_size for path in folder.iterdir()})"
    both = [start(code, HF_ENDPOINT=server.url, HF_HOME=tmp_path) for _ in range(2)]
    for output, errors in [process.communicate(timeout=30) for process in both]:
        assert output.strip() != "", errors
        assert ast.literal_eval(output) == {name: len(FILES[name]) for name in NEEDED}


# --- external data --------------------------------------------------------------------------------------------------


@pytest.fixture
def onnx_files(tmp_path: Path) -> dict[str, bytes]:
    """A matrix product whose matrix is external data."""
    matrix = onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "matrix")
    tensors = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 64]) for name in "xy"]
    node = onnx.helper.make_node("MatMul", ["x", "matrix"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", tensors[:1], tensors[1:], [matrix])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    folder = tmp_path / "export"
    folder.mkdir()
    onnx.save(
        model,
        str(folder / "model.onnx"),
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=0,
    )
    return {f"onnx/{name}": (folder / name).read_bytes() for name in ("model.onnx", "model.onnx_data")}


@pytest.fixture
def linked_onnx(onnx_files: dict[str, bytes], cache: Path) -> Path:
    """The same in a cache whose blobs are shared between repositories, so each lies in a folder of its own."""
    snapshot = fill_cache(cache, onnx_files)
    for name in onnx_files:
        blob = (snapshot / name).resolve()
        shared = cache / "blobs" / blob.name[:2] / blob.name
        shared.parent.mkdir(parents=True, exist_ok=True)
        blob.rename(shared)
        blob.symlink_to(os.path.relpath(shared, blob.parent))
    return snapshot / "onnx" / "model.onnx"


def run(onnx_path: Path) -> float:
    """Load the ONNX file and multiply a row of ones by its matrix."""
    session = onnxruntime.InferenceSession(onnx_path, providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": np.ones((1, 64), np.float32)})[0].sum())


def plain(onnx_path: Path) -> Path:
    """The call under test."""
    return plain_copy_for_external_data(onnx_path, ["model.onnx_data"])


def test_external_data_behind_links_loads(linked_onnx: Path, cache: Path) -> None:
    """onnxruntime takes the plain files, which are the cache's own bytes under another name."""
    path = plain(linked_onnx)
    assert run(path) == 64
    assert path == cache / "models--owner--tiny-colbert" / "laterank" / FIRST / "onnx" / "model.onnx"
    assert path.samefile(linked_onnx)
    assert names_in(path.parent) == ["model.onnx", "model.onnx_data"]


def test_a_plain_copy_is_made_once(linked_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that has become read-only serves what it has."""
    path = plain(linked_onnx)
    monkeypatch.setattr(Path, "hardlink_to", None)
    monkeypatch.setattr(shutil, "copy2", None)
    assert plain(linked_onnx) == path


def test_files_are_copied_where_links_are_impossible(
    linked_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, or one without hard links; the copy is made once as well."""

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = plain(linked_onnx)
    assert run(path) == 64
    assert not path.samefile(linked_onnx)
    made = path.stat().st_ino
    assert plain(linked_onnx).stat().st_ino == made


def test_half_written_and_stale_plain_files_are_made_anew(linked_onnx: Path) -> None:
    """A crash, an older download or a curious user left something else there."""
    path = plain(linked_onnx)
    data = path.with_name("model.onnx_data")
    for spoilt in (b"", data.read_bytes()[::-1]):
        data.unlink()
        data.write_bytes(spoilt)
        os.utime(data, (0, 0))
        assert run(plain(linked_onnx)) == 64
    path.unlink()
    path.symlink_to(linked_onnx)
    assert not plain(linked_onnx).is_symlink()


def test_processes_that_make_the_plain_copy_at_once_all_load_it(linked_onnx: Path) -> None:
    """None sees half a file, and none leaves a draft behind."""
    code = f"path = plain_copy_for_external_data(Path({str(linked_onnx)!r}), ['model.onnx_data'])\n"
    code += "print(path.with_name('model.onnx_data').stat().st_size)"
    outcomes = [process.communicate(timeout=30) for process in [start(code) for _ in range(3)]]
    assert [output.strip() for output, _ in outcomes] == [str(64 * 64 * 4)] * 3, outcomes
    assert run(plain(linked_onnx)) == 64
    assert names_in(plain(linked_onnx).parent) == ["model.onnx", "model.onnx_data"]


def test_two_plain_copies_made_in_the_same_instant_leave_no_draft(
    linked_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renaming a second link onto the first is a no-op that leaves both, by POSIX."""
    both_have_a_draft, link = threading.Barrier(2, timeout=10), Path.hardlink_to

    def link_then_wait(draft: Path, source: Path) -> None:
        link(draft, source)
        both_have_a_draft.wait()

    monkeypatch.setattr(Path, "hardlink_to", link_then_wait)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(plain, [linked_onnx] * 2)
    assert first == second
    assert names_in(first.parent) == ["model.onnx", "model.onnx_data"]


def test_plain_files_and_a_model_without_external_data_stay_where_they_are(
    onnx_files: dict[str, bytes], tmp_path: Path, linked_onnx: Path
) -> None:
    """Nothing is copied without need."""
    folder = fill_folder(tmp_path / "plain", onnx_files)
    assert plain(folder / "onnx" / "model.onnx") == folder / "onnx" / "model.onnx"
    assert plain_copy_for_external_data(linked_onnx, []) == linked_onnx


def test_links_in_a_folder_of_the_caller_get_a_plain_copy_in_the_assets_cache(
    onnx_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such folders come from build systems; nothing is written into them, and a changed file is noticed."""
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in onnx_files.items():
        stored = tmp_path / "store" / hashlib.sha256(content).hexdigest() / Path(name).name
        stored.parent.mkdir(parents=True)
        stored.write_bytes(content)
        (folder / stored.name).symlink_to(stored)
    if [int(part) for part in onnxruntime.__version__.split(".")[:2]] >= [1, 24]:
        with pytest.raises(Exception, match="escapes"):
            run(folder / "model.onnx")
    path = plain(folder / "model.onnx")
    assert path.is_relative_to(tmp_path / "assets" / "laterank")
    assert run(path) == 64
    data = (folder / "model.onnx_data").resolve()
    changed = (2 * np.eye(64, dtype=np.float32)).tobytes()
    data.unlink()
    data.write_bytes(changed)
    os.utime(data, (0, 0))
    assert run(plain(folder / "model.onnx")) == 128


def test_a_cache_that_cannot_take_plain_files_says_what_to_do(linked_onnx: Path, cache: Path) -> None:
    """A file in the way stands for a read-only cache."""
    (cache / "models--owner--tiny-colbert" / "laterank").write_text("in the way")
    with pytest.raises(
        ModelFormatError, match=r"Make that folder writable, or copy the model .*cp -rL"
    ) as error:
        plain(linked_onnx)
    assert isinstance(error.value.__cause__, OSError)


@pytest.mark.parametrize("name", ["missing", "../model.onnx_data", "/etc/hostname"])
def test_external_data_that_is_missing_or_outside_is_an_error(linked_onnx: Path, name: str) -> None:
    """An ONNX file must not reach for other files."""
    with pytest.raises(ModelFormatError, match="external data in"):
        plain_copy_for_external_data(linked_onnx, [name])
