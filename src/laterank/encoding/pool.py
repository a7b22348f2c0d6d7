"""Worker processes that encode documents, where there are enough of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from laterank.encoding.process import EncoderProcess, ProcessDied
from laterank.errors import WorkerError
from laterank.forking import renew_after_fork

__all__ = ["EncoderPool"]

logger = logging.getLogger(__name__)

Rows = NDArray[np.float32]

START_CHARACTERS, RUNNING_CHARACTERS = 16_000, 2_000
"""What there has to be for each worker before processes are started, and before running ones are asked."""
PIECES_PER_SHARE = 2
"""Into how many pieces each worker's share of what is left is cut: large ones first, small ones last, so that all workers end at
about the same time (guided self-scheduling, Polychronopoulos and Kuck 1987)."""
PIECE_CHARACTERS = (2_000, 64_000)
"""The least and the most of a piece, but for a single longer text: the most is about one run on a GPU."""
START_SECONDS = 120.0
ATTEMPTS = 2


class EncoderPool:
    """Processes with a model each. Threads may share it; a forked process starts its own.

    Rows travel as the float32 numbers that they are. That takes less than a hundredth of the time that making them takes, so
    float16 could save next to nothing, and scores would depend on which process made a row.
    """

    def __init__(
        self,
        options: Sequence[Mapping[str, Any]],
        *,
        longest: int,
        piece_seconds: float,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Start nothing yet.

        Args:
            options: The ``ColbertEncoder`` of each worker.
            longest: Characters of a text after which a model reads no more, for estimates.
            piece_seconds: How long a worker may encode one piece, some thousand tokens, before it is replaced.
            start_seconds: How long it may load.
        """
        self._finalizer: finalize[[], EncoderPool] | None = None
        self._options = options
        self._longest = longest
        self._seconds = {"start_seconds": start_seconds, "piece_seconds": piece_seconds}
        self._crew: _Crew | None = None
        self._impossible = False
        self._lock = threading.RLock()  # a signal's handler may call close() in the middle of a start
        renew_after_fork(self)

    def renew(self) -> None:
        """Start anew in a forked process: the parent's workers are none of its own."""
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._crew is not None:
            self._crew.disown()
        self._crew, self._impossible, self._lock = None, False, threading.RLock()

    def start(self) -> bool:
        """Start the processes where none run; False where none can be started, which is logged once."""
        return self._ready() is not None

    def pays(self, texts: Sequence[str]) -> bool:
        """Tell whether these are enough for the workers to be faster than this process."""
        least = (START_CHARACTERS if self._crew is None else RUNNING_CHARACTERS) * len(self._options)
        return len(texts) > 1 and sum(map(self._size, texts)) >= least and self.start()

    def encode_documents(self, texts: Sequence[str]) -> list[Rows]:
        """Encode documents, each once, in order.

        Returns:
            *Shape:* ``(document_tokens, dim)`` each

        Raises:
            WorkerError: If no process can be had, the same piece ended two of them, or the pool was closed meanwhile.
            Exception: What was raised in a process, with its traceback there.
        """
        crew = self._ready()
        if crew is None:
            raise WorkerError("no worker process can be started here; use workers=0")
        pieces = _pieces([self._size(text) for text in texts], len(self._options))
        # Plain strings: a process cannot import a subclass of the caller's main module.
        jobs = [crew.submit([str.__str__(texts[index]) for index in piece]) for piece in pieces]
        rows: dict[int, Rows] = {}
        try:
            for piece, job in zip(pieces, jobs, strict=True):
                rows.update(zip(piece, job.result(), strict=True))
        finally:  # after an error, or Ctrl-C
            for job in jobs:
                job.cancel()
        return [rows[index] for index in range(len(texts))]

    def close(self) -> None:
        """End the processes now; a later call starts others. Calls that wait for them get a ``WorkerError``."""
        with self._lock:
            self._crew, stop = None, self._finalizer
        if stop is not None:
            stop()  # once, and nothing keeps the crew any more

    def _size(self, text: str) -> int:
        return min(len(text), self._longest)

    def _ready(self) -> _Crew | None:
        with self._lock:
            if self._crew is None and not self._impossible:
                try:
                    crew = _Crew(self._options, **self._seconds)
                    self._finalizer = finalize(self, crew.stop)
                    self._crew = crew
                except (
                    OSError,
                    RuntimeError,
                ) as error:  # no processes here, or the interpreter is shutting down
                    self._impossible = True
                    logger.warning("no worker process can be started (%s): this process encodes alone", error)
            return self._crew


class _Crew:
    """Running processes, a thread for each, and what waits for them. Knows no pool, so that a forgotten one can go."""

    def __init__(self, options: Sequence[Mapping[str, Any]], **seconds: float) -> None:
        self._options, self._seconds = options, seconds
        self._jobs: SimpleQueue[tuple[Future[list[Rows]], list[str]] | None] = SimpleQueue()
        self._lock = threading.RLock()  # the garbage collector may call stop() wherever an object is made
        self._stopped = False
        self._processes: list[EncoderProcess] = []
        try:
            for seat in range(len(options)):
                self._processes.append(self._new_process(seat))
            for seat in range(len(options)):
                name = f"laterank-worker-{seat}"
                threading.Thread(target=self._serve, args=(seat,), name=name, daemon=True).start()
        except BaseException:
            self.stop()
            raise

    @property
    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [process.pid for process in self._processes]

    def submit(self, texts: list[str]) -> Future[list[Rows]]:
        """Have texts encoded by whichever process is free first."""
        job: Future[list[Rows]] = Future()
        with self._lock:
            if self._stopped:
                job.set_exception(_closed())
            else:
                self._jobs.put((job, texts))
        return job

    def stop(self) -> None:
        """End the processes and their threads, from any thread; whatever waits gets an error."""
        with self._lock:
            self._stopped = True
            waiting = self._drain()
            for process in self._processes:
                self._jobs.put(None)
                process.kill()
        for job in waiting:
            if job.set_running_or_notify_cancel():
                job.set_exception(_closed())

    def disown(self) -> None:
        """In a forked process: let go of what is the parent's."""
        for process in self._processes:
            process.disown()

    def _drain(self) -> list[Future[list[Rows]]]:
        waiting = []
        with suppress(Empty):
            while True:
                if (entry := self._jobs.get_nowait()) is not None:
                    waiting.append(entry[0])
        return waiting

    # --- in the thread of one process ---------------------------------------------------------------------------------

    def _serve(self, seat: int) -> None:
        while self._serve_one(seat):
            pass
        self._processes[seat].bury()

    def _serve_one(self, seat: int) -> bool:
        """Do the next job; a function of its own, so that no variable keeps a result while the next is waited for."""
        if (entry := self._jobs.get()) is None:
            return False
        job, texts = entry
        if job.set_running_or_notify_cancel():
            try:
                job.set_result(self._encode(seat, texts))
            except BaseException as error:  # noqa: BLE001  # raised again where the result is waited for
                job.set_exception(error)
        return True

    def _encode(self, seat: int, texts: list[str]) -> list[Rows]:
        deaths: list[ProcessDied] = []
        while len(deaths) < ATTEMPTS:
            try:
                return self._living(seat).encode_documents(texts)
            except ProcessDied as death:
                if self._stopped:
                    raise _closed() from death
                deaths.append(death)
                if len(deaths) < ATTEMPTS:
                    logger.warning("a worker process %s; another one does its work again", death)
        raise WorkerError(
            f"{ATTEMPTS} worker processes in a row ended over the same {len(texts)} documents: the last one {deaths[-1]}. "
            "Where it was killed, memory may be short: use fewer workers or a smaller tokens_per_batch; where it is "
            "slow, give it more worker_timeout_seconds; what it printed is on stderr"
        ) from deaths[-1]

    def _living(self, seat: int) -> EncoderProcess:
        """Return this seat's process, a new one where it has ended."""
        if not self._processes[seat].alive:
            self._processes[seat].bury()
            with self._lock:
                if self._stopped:
                    raise _closed()
                try:
                    self._processes[seat] = self._new_process(seat)
                except OSError as error:
                    raise WorkerError(
                        f"a worker process ended, and no other one can be started: {error}"
                    ) from error
                if self._stopped:  # by the garbage collector, just now
                    self._processes[seat].kill()
        return self._processes[seat]

    def _new_process(self, seat: int) -> EncoderProcess:
        return EncoderProcess(self._options[seat], **self._seconds)


def _closed() -> WorkerError:
    return WorkerError(
        "the workers were closed while documents were waiting for them; call again to start others"
    )


def _pieces(sizes: Sequence[int], workers: int) -> list[list[int]]:
    """Cut positions into pieces, texts of like length together, the longest texts and the largest pieces first."""
    least, most = PIECE_CHARACTERS
    left = sum(sizes)
    pieces: list[list[int]] = []
    target = filled = 0
    for position in sorted(range(len(sizes)), key=lambda position: -sizes[position]):
        if filled >= target:
            target, filled = min(max(left // (workers * PIECES_PER_SHARE), least), most), 0
            pieces.append([])
        pieces[-1].append(position)
        filled += sizes[position] + 1  # even of nothing a model reads its special tokens
        left -= sizes[position]
    return pieces
