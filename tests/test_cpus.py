"""How many threads there are by default: what the machine, an affinity mask and a container's quota leave."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from laterank import ColbertEncoder, cpus
from laterank.cpus import usable_cpus

Groups = Callable[[str, Mapping[str, str]], int]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Groups]:
    """Return what eight processors become for a process of the given groups, with the given files at the mount."""
    monkeypatch.setattr(cpus, "MOUNT", tmp_path / "mount")
    monkeypatch.setattr(cpus, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def usable(membership: str, files: Mapping[str, str]) -> int:
        (tmp_path / "membership").write_text(membership, encoding="utf-8")
        for name, content in files.items():
            place = tmp_path / "mount" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
        cpus._cpu_quota.cache_clear()
        return usable_cpus()

    yield usable
    cpus._cpu_quota.cache_clear()


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/pod/app\n", {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "max 100000\n"}, 3),
        ("0::/pod/app\n", {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "150000 50000\n"}, 3),
        ("0::/host/only\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/../../app\n", {"cpu.max": "400000 100000\n"}, 4),
    ],
)
def test_a_quota_of_version_2(groups: Groups, membership: str, files: dict[str, str], expected: int) -> None:
    """``docker run --cpus=2`` and Kubernetes' ``limits.cpu``: the tightest group counts, a part of a processor as a whole one."""
    assert groups(membership, files) == expected


@pytest.mark.parametrize(
    ("membership", "quota", "expected"),
    [
        ("4:memory:/m\n2:cpu,cpuacct:/docker/1\n0::/\n", {"docker/1": "200000"}, 2),
        ("2:cpuacct,cpu:/docker/1\n", {"docker": "500000", "docker/1": "-1"}, 5),
        ("2:cpu:/docker/1\n", {"": "300000"}, 3),
        ("2:cpuset:/docker/1\n", {"docker/1": "200000"}, 8),
        ("2:cpu:/\n", {"": "-1"}, 8),
    ],
)
def test_a_quota_of_version_1(groups: Groups, membership: str, quota: dict[str, str], expected: int) -> None:
    """The older control groups have two files, and a tree for each controller."""
    files = {}
    for group, value in quota.items():
        files |= {f"cpu/{group}/cpu.cfs_quota_us": value, f"cpu/{group}/cpu.cfs_period_us": "100000"}
    assert groups(membership, files) == expected


@pytest.mark.parametrize("membership", ["", "nonsense\n", "0::\n", "0:\n\n"])
@pytest.mark.parametrize("content", ["", "2", "many 100000", "0 0", "200000 0", "-5 100000"])
def test_what_cannot_be_understood_limits_nothing(groups: Groups, membership: str, content: str) -> None:
    """A system that lists its groups in another way must not stop a ranking."""
    assert groups(membership, {"cpu.max": content}) == 8


def test_without_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: Groups) -> None:
    """Other systems have neither list nor mount."""
    monkeypatch.setattr(cpus, "MEMBERSHIP", tmp_path / "missing")
    assert groups("", {}) == 8


def test_threads_follow_the_quota(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    """An affinity mask that is tighter wins, and ``threads=`` beats both."""
    assert groups("0::/\n", {"cpu.max": "200000 100000\n"}) == 2
    assert ColbertEncoder.from_pretrained().threads == 2
    assert ColbertEncoder.from_pretrained(threads=3).threads == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert ColbertEncoder.from_pretrained().threads == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_threads_follow_the_affinity_mask() -> None:
    """A container with one processor gets one thread."""
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from laterank.cpus import usable_cpus; print(usable_cpus())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
