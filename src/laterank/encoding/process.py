"""One worker process, as its parent sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from multiprocessing.spawn import get_executable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.pipes import receive, send, skip_to_beginning

__all__ = ["EncoderProcess", "ProcessDied", "WorkerTraceback"]

Rows = NDArray[np.float32]

PROGRAM = "import sys; sys.path[:] = {path}; from laterank.encoding.child import main; main()"
"""Nothing of the caller's: its main module is not run again, as multiprocessing's spawn would, and needs no guard."""
ENDING_SECONDS = 10.0
OWN_GROUP: dict[str, Any] = (
    {"process_group": 0}
    if sys.version_info >= (3, 11) and os.name == "posix"
    else {"start_new_session": True}
)
"""Ctrl-C of a terminal goes to the parent's group alone. A group of the same session, rather than a session of its own: when the
parent is gone, the system wakes and ends what is stopped in it (POSIX on orphaned process groups), which could not end itself."""


class ProcessDied(Exception):  # noqa: N818  # an event that is dealt with, and no caller's error
    """The process ended, or was ended because it did not answer in time; the message says how."""


class WorkerTraceback(Exception):  # noqa: N818  # the cause of another error
    """Where in the worker process an error was raised, as text; a traceback itself cannot travel."""

    def __str__(self) -> str:
        return f"\n\nin a worker process:\n{self.args[0]}"


class EncoderProcess:
    """An interpreter with a model of its own, which ends when its parent does, however that ends."""

    def __init__(self, options: Mapping[str, Any], *, start_seconds: float, piece_seconds: float) -> None:
        """Start the process; it loads the model while this one goes on.

        Args:
            options: Of its ``ColbertEncoder``.
            start_seconds: How long loading may take.
            piece_seconds: How long encoding one piece may take.

        Raises:
            OSError: If no process can be started here.
        """
        if getattr(sys, "frozen", False):  # the executable is the application, which would start itself
            raise OSError("a frozen application has no Python interpreter to start")
        executable = get_executable() or ""
        program = PROGRAM.format(path=ascii([entry for entry in sys.path if isinstance(entry, str)]))
        flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")  # Windows only
        self._process = subprocess.Popen(
            [executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # a fork must not hold half a message
            creationflags=sum(getattr(subprocess, flag, 0) for flag in flags),
            **OWN_GROUP,
        )
        self._jobs, self._answers = cast(FileIO, self._process.stdin), cast(FileIO, self._process.stdout)
        self._start_seconds, self._piece_seconds = start_seconds, piece_seconds
        self._loaded = self._late = False
        with suppress(OSError):  # it ended already: found out by whoever asks it first
            send(self._jobs, options)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def encode_documents(self, texts: Sequence[str]) -> list[Rows]:
        """Encode one piece. One thread at a time.

        Raises:
            ProcessDied: If it ended, or did not answer in time.
            Exception: Whatever was raised in it, with a ``WorkerTraceback`` as the cause.
        """
        if not self._loaded:
            self._ask(None, self._start_seconds)
            self._loaded = True
        return cast("list[Rows]", self._ask(texts, self._piece_seconds))

    def kill(self) -> None:
        """End it now, from any thread; whoever waits for its answer gets ``ProcessDied``."""
        with suppress(OSError):
            self._process.kill()

    def bury(self) -> None:
        """Wait for its end and close the pipes; for the one thread that asks it."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_SECONDS)
        for pipe in (self._jobs, self._answers):
            with suppress(OSError):
                pipe.close()

    def disown(self) -> None:
        """In a forked process: close the copies of the parent's pipes, and forget the process, which is the parent's."""
        self._jobs.close()
        self._answers.close()
        self._process.returncode = 0

    def _ask(self, texts: Sequence[str] | None, seconds: float) -> object:
        """Send texts, or nothing the first time, and wait for the answer; raise the error that it may be."""
        with self._deadline(seconds):
            if texts is None:
                skip_to_beginning(self._answers)
            else:
                send(self._jobs, texts)
            result, error, where = receive(self._answers)
        if error is not None:
            raise error from WorkerTraceback(where)
        return result

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        """Kill the process when the time is over; whatever goes wrong meanwhile, no half of a message is read later."""
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        with suppress(RuntimeError):  # the interpreter is shutting down and starts no more threads
            timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            self.bury()
            ended = f"did not answer within {seconds:g} s" if self._late else self._how_it_ended()
            raise ProcessDied(ended) from error
        except BaseException:
            self.bury()
            raise
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._late = True
        self.kill()

    def _how_it_ended(self) -> str:
        status = self._process.returncode
        if status is None or status >= 0:
            return f"ended with status {status}"
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
