"""What a worker process runs: load the model, then encode what comes through the pipe until the parent closes it."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
import traceback
from io import FileIO
from queue import SimpleQueue
from typing import Any

from laterank.encoding.encoder import ColbertEncoder
from laterank.encoding.pipes import begin, receive, send
from laterank.errors import WorkerError

__all__ = ["main"]

PARENT_SECONDS = 1.0
"""How often it looks whether its parent lives, where a pipe alone cannot tell: a fork may hold the other end."""


def main() -> None:
    """Load, and answer jobs one after another; ends with the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes the pipe
    logging.getLogger("laterank").setLevel(logging.ERROR)  # the parent has said the rest
    jobs_pipe, answers = _own_pipes()
    begin(answers)
    jobs: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(jobs_pipe, jobs), daemon=True).start()
    if hasattr(os, "fork"):
        threading.Thread(target=_outlive_no_parent, args=(os.getppid(),), daemon=True).start()
    options = jobs.get()
    try:
        encoder = ColbertEncoder(**options)
        encoder.encode_documents(["load"])
    except Exception as error:  # noqa: BLE001  # raised again in the parent
        send(answers, _failure(error))
        return
    send(answers, (None, None, ""))
    while True:
        try:
            answer = (encoder.encode_documents(jobs.get()), None, "")
        except Exception as error:  # noqa: BLE001  # raised again in the parent
            send(answers, _failure(error))
        else:
            send(answers, answer)


def _own_pipes() -> tuple[FileIO, FileIO]:
    """Move the pipes away from the standard streams, so that whatever prints here harms no message."""
    jobs, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # the parent has no stderr
        os.dup2(nothing, 1)
    return FileIO(jobs, "rb"), FileIO(answers, "wb")


def _listen(pipe: FileIO, jobs: SimpleQueue[Any]) -> None:
    """Read ahead, so that the parent's end is noticed at once, in the middle of a job, too."""
    while True:
        try:
            jobs.put(receive(pipe))
        except BaseException:  # noqa: BLE001  # no pipe, no work, whatever the reason
            os._exit(0)


def _outlive_no_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(0)


def _failure(error: Exception) -> tuple[None, Exception, str]:
    """Return an error that can travel, and its traceback as text."""
    where = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # whatever its own __reduce__ or __init__ raises
        return None, WorkerError(f"{type(error).__name__}: {error}"), where
    return None, error, where
