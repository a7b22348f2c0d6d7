"""What docs/scale_out.md promises: a corpus in parts, warmed by processes, copied to replicas, ranked on several machines."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import laterank
from laterank import Reranker, SqliteCache

PAGE = Path(__file__).parent.parent / "docs" / "scale_out.md"
PASSAGES = [
    f"Planet number {number} has {number * 7 % 11} moons and {number % 5} rings." for number in range(90)
]


def program() -> str:
    """Return the page's first program, which warms a part of the corpus."""
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def start(folder: Path, part: int, parts: int) -> "subprocess.Popen[str]":
    """Start the page's program as the page says, with the folder as home."""
    (folder / "warm_part.py").write_text(program(), encoding="utf-8")
    paths = [str(Path(laterank.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {"HOME": str(folder), "USERPROFILE": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [sys.executable, "warm_part.py", str(part), str(parts)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Wait for a program and return what it printed."""
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    return printed


def test_processes_warm_one_file_together(tmp_path: Path) -> None:
    """Two started at once, on a file that is not there yet, leave nothing out and nothing twice."""
    (tmp_path / "passages.txt").write_text("\n".join(PASSAGES), encoding="utf-8")
    printed = [finish(process) for process in [start(tmp_path, part, 2) for part in range(2)]]
    assert all("Warmed(documents=45, encoded=45, known=0)" in text for text in printed), printed
    assert "Warmed(documents=90, encoded=0, known=90)" in finish(start(tmp_path, 0, 1))
    with SqliteCache(tmp_path / ".cache" / "passages.sqlite") as cache:
        assert len(cache) == len(PASSAGES)


def test_the_smallest_bound_of_all_processes_wins(tmp_path: Path) -> None:
    """Each keeps the file below its own bound whenever it writes."""
    with (
        SqliteCache(tmp_path / "a.sqlite") as large,
        SqliteCache(tmp_path / "a.sqlite", max_bytes=9_000) as small,
    ):
        Reranker.from_pretrained(cache=large).warm(PASSAGES[:40])
        assert len(large) == 40
        Reranker.from_pretrained(cache=small).rank("Which planet has rings?", PASSAGES[50:51])
        assert len(large) < 20


@pytest.mark.parametrize("in_use", [False, True])
def test_a_copied_file_is_a_warm_cache(tmp_path: Path, *, in_use: bool) -> None:
    """A closed one by copying the file, an open one by SQLite's own backup."""
    source, copied = tmp_path / "a.sqlite", tmp_path / "elsewhere.sqlite"
    cache = SqliteCache(source)
    Reranker.from_pretrained(cache=cache).warm(PASSAGES)
    if not in_use:
        cache.close()
        assert sorted(tmp_path.iterdir()) == [source]
        shutil.copy(source, copied)
    else:
        with closing(sqlite3.connect(source)) as opened, closing(sqlite3.connect(copied)) as target:
            opened.backup(target)
    with SqliteCache(copied) as copy:
        warmed = Reranker.from_pretrained(cache=copy).warm(PASSAGES)
        assert (warmed.encoded, warmed.known) == (0, len(PASSAGES))
        with closing(sqlite3.connect(copied)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    cache.close()


def test_merged_rankings_of_shards_are_the_ranking_of_all() -> None:
    """The score of a document knows nothing of its neighbours, so a list may be ranked in parts."""
    reranker, question, top_n = Reranker.from_pretrained(), "How many moons has planet number 17?", 7
    parts = [range(part, len(PASSAGES), 4) for part in range(4)]
    merged = [
        (found.score, -part[found.index])
        for part in parts
        for found in Reranker.from_pretrained(cache=False).rank(
            question, [PASSAGES[index] for index in part], top_n=top_n
        )
    ]
    best = reranker.rank(question, PASSAGES, top_n=top_n)
    in_memory = {-index: score for score, index in merged}
    assert [-index for _, index in sorted(merged, reverse=True)[:top_n]] == [found.index for found in best]
    assert all(in_memory[found.index] == found.score for found in best)


def test_fingerprints_tell_models_apart() -> None:
    """The same on every machine with the same model and size, another one with another size."""
    one, same = (Reranker.from_pretrained(score=score).encoder for score in ("mean", "sum"))
    smaller = Reranker.from_pretrained(truncate_dim=64).encoder
    assert one.fingerprint == same.fingerprint != smaller.fingerprint
