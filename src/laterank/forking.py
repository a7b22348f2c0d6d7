"""Locks, threads and files that survive a fork, as gunicorn's preload and multiprocessing do one.

A forked child has the parent's objects but only the thread that forked: a lock that another thread held stays locked for
ever, and a session's or executor's threads are gone. Whatever holds such things registers here and renews itself in the
child before any of its code runs. What must not be open in two processes at all pauses before the fork and resumes after it.
"""

from __future__ import annotations

import os
from typing import Protocol, runtime_checkable
from weakref import WeakSet

__all__ = ["Pausable", "Renewable", "renew_after_fork"]


class Renewable(Protocol):
    """An object that holds locks or threads."""

    def renew(self) -> None:
        """Replace locks and drop what only the parent's threads can serve. Runs in the child, alone."""


@runtime_checkable
class Pausable(Protocol):
    """A renewable object that holds something that must not be carried into a child, such as a database connection."""

    def pause(self) -> None:
        """Wait until nothing is in use, let go of it, and let nobody take more. Runs in the parent, before the fork."""

    def resume(self) -> None:
        """Go on. Runs in the parent's forking thread, after the fork, also for an object that was not paused or only in part:
        one that another thread has made meanwhile, or whose pause Ctrl-C has ended.
        """


_registered: WeakSet[Renewable] = WeakSet()
_hooked = False


def renew_after_fork(renewable: Renewable) -> None:
    """Have an object renewed in every child that this process forks, and paused meanwhile, as long as the object lives."""
    global _hooked
    _registered.add(renewable)
    if not _hooked and hasattr(os, "register_at_fork"):  # Windows does not fork
        _hooked = True
        os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_renew_all)


def _all() -> list[Renewable]:
    while True:
        try:
            return list(_registered)
        except RuntimeError:  # another thread has just made one
            continue


def _pause_all() -> None:
    for renewable in _all():
        if isinstance(renewable, Pausable):
            renewable.pause()


def _resume_all() -> None:
    left = [renewable for renewable in _all() if isinstance(renewable, Pausable)]
    interrupt: BaseException | None = None
    while left:
        try:
            left[-1].resume()
            left.pop()
        except BaseException as error:  # noqa: BLE001  # Ctrl-C: nothing may stay paused for it
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _renew_all() -> None:
    for renewable in _all():
        renewable.renew()
