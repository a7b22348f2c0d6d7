"""Locks and threads that survive a fork, as gunicorn's preload and multiprocessing do one.

A forked child has the parent's objects but only the thread that forked: a lock that another thread held stays locked for
ever, and a session's or executor's threads are gone. Whatever holds such things registers here and renews itself in the
child before any of its code runs.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Renewable", "renew_after_fork"]


class Renewable(Protocol):
    """An object that holds locks or threads."""

    def renew(self) -> None:
        """Replace locks and drop what only the parent's threads can serve. Runs in the child, alone."""


_registered: WeakSet[Renewable] = WeakSet()
_hooked = False


def renew_after_fork(renewable: Renewable) -> None:
    """Have an object's ``renew`` called in every child that this process forks, as long as the object lives."""
    global _hooked
    _registered.add(renewable)
    if not _hooked and hasattr(os, "register_at_fork"):  # Windows does not fork
        _hooked = True
        os.register_at_fork(after_in_child=_renew_all)


def _renew_all() -> None:
    for renewable in list(_registered):
        renewable.renew()
