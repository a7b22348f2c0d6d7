"""How many processors this process may use: those of the machine, less what an affinity mask and a container's CPU quota take."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["usable_cpus"]

MEMBERSHIP = Path("/proc/self/cgroup")
"""Linux lists the control groups of a process here, a line ``id:controllers:path`` each."""
MOUNT = Path("/sys/fs/cgroup")
LIMIT_FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
"""Where a group of version 2 and one of version 1 keep their quota and its period, both in microseconds."""


def usable_cpus() -> int:
    """Return how many threads of this process can run at once, at least 1; half a processor of a quota counts as one."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(processors, _cpu_quota()))


@cache
def _cpu_quota() -> int:
    """Return the tightest quota of this process's groups as processors, rounded up; it is read once."""
    tightest = min((limit for group in _groups() for limit in _limits(group)), default=math.inf)
    return (os.cpu_count() or 1) if math.isinf(tightest) else math.ceil(tightest)


def _groups() -> Iterator[Path]:
    """Yield the folders of this process's groups and of all groups above them.

    A container often sees its own group at the mount, and in the list a path that only the host has: what is not there is
    passed over by whoever reads it.
    """
    try:
        memberships = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in memberships:
        _, controllers, path = (line + "::").split(":", 2)
        if not controllers:
            mount = MOUNT  # version 2 has one tree
        elif "cpu" in controllers.split(","):
            mount = MOUNT / "cpu"
        else:
            continue
        group = Path(os.path.normpath("/" + path.strip(":/")))  # one outside of its namespace begins with /..
        for part in (group, *group.parents):
            yield mount / part.relative_to("/")


def _limits(group: Path) -> Iterator[float]:
    """Yield a group's quota as processors, where it has one: without a limit it says "max" or -1."""
    for names in LIMIT_FILES:
        try:
            quota, period = (int(word) for name in names for word in (group / name).read_text().split())
        except (OSError, ValueError):
            continue
        if quota > 0 and period > 0:
            yield quota / period
