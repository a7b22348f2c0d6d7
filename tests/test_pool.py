"""Worker processes: the same rows in the same order, every error at the caller, and no process that outlives its parent."""

import asyncio
import copy
import gc
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx_graphs import with_nan_output

from laterank import (
    ColbertEncoder,
    EncodingError,
    InputError,
    InputTypeError,
    ModelFormatError,
    Reranker,
    WorkerError,
)
from laterank.encoding import pool as pool_module
from laterank.encoding.pool import EncoderPool, _pieces
from laterank.encoding.process import EncoderProcess, WorkerTraceback

MODEL = GOLDEN / "bert-pylate"
TEXTS = [f"Mars, number {number}, is the red planet. " * (number % 7 + 1) for number in range(60)]
QUERY = "Which planet is red?"
SECONDS = 30.0
"""What nothing here takes, even on a busy machine."""

processes = pytest.mark.skipif(
    not Path("/proc/self/stat").is_file(), reason="processes are looked at in /proc"
)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(autouse=True)
def every_text_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use workers for a few words, and cut them into many pieces."""
    monkeypatch.setattr(pool_module, "START_CHARACTERS", 1)
    monkeypatch.setattr(pool_module, "RUNNING_CHARACTERS", 1)
    monkeypatch.setattr(pool_module, "PIECE_CHARACTERS", (1, 1000))


@pytest.fixture
def encoder() -> Iterator[ColbertEncoder]:
    with ColbertEncoder.from_pretrained(MODEL, threads=2, workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[ColbertEncoder]:
    with ColbertEncoder.from_pretrained(MODEL, threads=2, workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    return ColbertEncoder.from_pretrained(MODEL, threads=1).encode_documents(TEXTS)


def assert_same(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for rows, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(rows, reference, atol=2e-6)


def pids(encoder: ColbertEncoder) -> list[int]:
    assert encoder._pool is not None
    crew = encoder._pool._crew
    return crew.pids if crew else []


def states(pid: int) -> set[str]:
    """Return the letters of its threads' states; Z, a zombie's, where there is no process."""
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/stat"))
        return {file.read_text().rpartition(")")[2].split()[0] for file in files} or {"Z"}
    except (FileNotFoundError, ProcessLookupError):
        return {"Z"}


def runs(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    return states(pid) != {"Z"}


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def assert_gone(numbers: Sequence[int]) -> None:
    assert numbers
    wait_until(lambda: not any(map(runs, numbers)))


# --- the same as without --------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.one_of(st.sampled_from(TEXTS), st.text(max_size=50)), max_size=20))
def test_workers_change_no_row_and_no_order(shared: ColbertEncoder, texts: list[str]) -> None:
    """Whatever the texts, repetitions and blank ones and surrogates among them."""
    alone = ColbertEncoder.from_pretrained(MODEL, threads=1)
    assert_same(shared.encode_documents(texts), alone.encode_documents(texts))


def test_a_kind_of_string_that_only_the_caller_has_is_a_string(shared: ColbertEncoder) -> None:
    """A worker could not import it, as it cannot what a script or a notebook defines."""

    class Tagged(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "not the text"

    assert_same(
        shared.encode_documents([Tagged(text) for text in TEXTS[:8]]), shared.encode_documents(TEXTS[:8])
    )


def test_workers_change_no_ranking() -> None:
    """The embedded model gives the same documents and the same scores, with any number of workers."""
    expected = Reranker.from_pretrained(workers=0).rank(QUERY, TEXTS)
    for workers in (1, 2):
        with Reranker.from_pretrained(workers=workers) as reranker:
            ranking = reranker.rank(QUERY, TEXTS)
            assert pids(reranker.encoder)
            assert [place.index for place in ranking] == [place.index for place in expected]
            assert [place.score for place in ranking] == pytest.approx(
                [place.score for place in expected], abs=1e-6
            )


def test_rows_from_a_worker_are_the_callers_own(shared: ColbertEncoder) -> None:
    """Float32, writable, and each keeps its own memory alive alone, which a cache counts."""
    for rows in shared.encode_documents(TEXTS):
        assert rows.dtype == np.float32
        assert rows.flags.writeable
        owner = rows if rows.base is None else rows.base
        assert memoryview(owner).nbytes == rows.nbytes


@given(sizes=st.lists(st.integers(0, 5000), max_size=60), workers=st.integers(1, 5))
def test_pieces_hold_every_text_once(sizes: list[int], workers: int) -> None:
    """None is lost, none is doubled, none is empty; the longest come first."""
    pieces = _pieces(sizes, workers)
    assert sorted(index for piece in pieces for index in piece) == list(range(len(sizes)))
    assert all(pieces)
    flat = [sizes[index] for piece in pieces for index in piece]
    assert flat == sorted(sizes, reverse=True)


@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=300),
    speeds=st.lists(st.floats(0.7, 1.0), min_size=1, max_size=5),
)
@example(sizes=[900] * 400, speeds=[1.0, 0.8])
def test_all_workers_end_at_about_the_same_time(sizes: list[int], speeds: list[float]) -> None:
    """Each takes the next piece when it is free; the last is later than all could be, at best, by little more than a small piece."""
    least, most = 2_000, 64_000
    free = [0.0] * len(speeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "PIECE_CHARACTERS", (least, most))
        pieces = _pieces(sizes, len(speeds))
    for piece in pieces:
        first = min(range(len(free)), key=free.__getitem__)
        free[first] += sum(sizes[index] for index in piece) / speeds[first]
    ideal = sum(sizes) / sum(speeds)
    assert max(free) <= ideal + 1.2 * (least + max(sizes)) / min(speeds)


# --- when they are used ---------------------------------------------------------------------------------------------


def test_few_documents_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one costs more than a handful of short passages."""
    monkeypatch.undo()
    encoder = ColbertEncoder.from_pretrained(MODEL, workers=2)
    encoder.encode_documents(TEXTS[:10])
    assert pids(encoder) == []


def test_a_second_call_uses_the_same_processes(encoder: ColbertEncoder) -> None:
    """They are started once."""
    encoder.encode_documents(TEXTS)
    first = pids(encoder)
    encoder.encode_documents(TEXTS[::-1])
    assert len(first) == 2
    assert pids(encoder) == first


def test_load_starts_them() -> None:
    """So that a service's first answer need not wait for it."""
    with Reranker.from_pretrained(MODEL, workers=1) as reranker:
        reranker.load()
        assert len(pids(reranker.encoder)) == 1


def test_load_starts_them_again_after_close() -> None:
    """A service that gave its memory back meanwhile."""
    with Reranker.from_pretrained(MODEL, workers=1) as reranker:
        reranker.load()
        [first] = pids(reranker.encoder)
        reranker.close()
        assert pids(reranker.encoder) == []
        reranker.load()
        [second] = pids(reranker.encoder)
        assert second != first
        reranker.load()
        assert pids(reranker.encoder) == [second]


def test_documents_in_the_cache_need_no_worker() -> None:
    """The second ranking finds what the first one had encoded, and only its query is new."""
    with Reranker.from_pretrained(MODEL, workers=1) as reranker:
        first = reranker.rank(QUERY, TEXTS)
        reranker.close()
        assert reranker.rank(QUERY, TEXTS) == first
        assert pids(reranker.encoder) == []


# --- errors ---------------------------------------------------------------------------------------------------------


def test_the_workers_own_error_reaches_the_caller(copy_of: Callable[..., Path]) -> None:
    """Its type, its words, and where it was raised; and again at the next call, without a hang."""
    folder = copy_of()
    with_nan_output(folder / "onnx" / "model.onnx")
    with ColbertEncoder.from_pretrained(folder, workers=2) as encoder:
        for _ in range(2):
            with pytest.raises(EncodingError, match="NaN") as caught:
                encoder.encode_documents(TEXTS)
            assert isinstance(caught.value.__cause__, WorkerTraceback)
            assert "encoder.py" in str(caught.value.__cause__)


def test_a_model_that_is_gone_is_the_usual_error(copy_of: Callable[..., Path]) -> None:
    """Between making the reranker and its first use, somebody deleted a file."""
    folder = copy_of()
    with ColbertEncoder.from_pretrained(folder, workers=2) as encoder:
        (folder / "tokenizer.json").unlink()
        with pytest.raises(ModelFormatError, match=r"tokenizer\.json"):
            encoder.encode_documents(TEXTS)


def test_after_an_error_a_worker_goes_on(encoder: ColbertEncoder) -> None:
    """The process is as good as before: an error is no death."""
    options = {"files": encoder.files, "threads": 1}
    process = EncoderProcess(options, start_seconds=SECONDS, piece_seconds=SECONDS)
    try:
        with pytest.raises(InputTypeError, match=r"documents\[0\] is int"):
            process.encode_documents([3])  # type: ignore[list-item]
        assert_same(process.encode_documents(["mars"]), encoder.encode_documents(["mars"]))
    finally:
        process.bury()
    assert not process.alive


@processes
def test_a_killed_worker_is_replaced_and_its_work_done_again(
    encoder: ColbertEncoder, expected: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    """Both are stopped in the middle of a piece and killed: the result is whole, and the log says so."""
    encoder.encode_documents(TEXTS)
    killed = pids(encoder)
    for pid in killed:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread, caplog.at_level(logging.WARNING):
        waiting = thread.submit(encoder.encode_documents, TEXTS)
        both_have_one = len(_pieces([encoder._pool._size(text) for text in TEXTS], 2)) - 2
        wait_until(lambda: encoder._pool._crew._jobs.qsize() == both_have_one)
        time.sleep(0.2)
        assert not waiting.done()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert_same(waiting.result(SECONDS), expected)
    assert "was killed by SIGKILL; another one does its work again" in caplog.text
    assert set(pids(encoder)).isdisjoint(killed)


@processes
def test_a_worker_killed_while_idle_is_replaced(encoder: ColbertEncoder, expected: list[np.ndarray]) -> None:
    """As a machine short of memory does it in the night."""
    encoder.encode_documents(TEXTS)
    for pid in pids(encoder):
        os.kill(pid, signal.SIGKILL)
    assert_same(encoder.encode_documents(TEXTS), expected)


@processes
def test_a_worker_that_cannot_be_replaced_is_an_error(
    encoder: ColbertEncoder, expected: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when processes can be started again, the next call has them."""
    encoder.encode_documents(TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing.spawn, "_python_exe", b"/nowhere/python")
        for pid in pids(encoder):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"no other one can be started: .*/nowhere/python"):
            encoder.encode_documents(TEXTS)
    assert_same(encoder.encode_documents(TEXTS), expected)


@processes
def test_a_worker_that_does_not_answer_is_replaced(expected: list[np.ndarray]) -> None:
    """After its time, which is an option that travels, it is killed, and another one does the work."""
    made = ColbertEncoder.from_pretrained(MODEL, threads=2, workers=2, worker_timeout_seconds=4)
    with pickle.loads(pickle.dumps(made)) as encoder:
        encoder.encode_documents(TEXTS)
        stopped = pids(encoder)
        os.kill(stopped[0], signal.SIGSTOP)
        assert_same(encoder.encode_documents(TEXTS), expected)
        assert_gone(stopped[:1])


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), True, "long", None])
def test_a_worker_has_a_time(seconds: object) -> None:
    """Of a number of seconds that a timer can wait."""
    with pytest.raises(
        InputError, match=r"worker_timeout_seconds is .*, expected a number of seconds above 0"
    ):
        Reranker.from_pretrained(MODEL, worker_timeout_seconds=seconds)  # type: ignore[arg-type]


def test_work_that_no_worker_finishes_is_an_error(encoder: ColbertEncoder) -> None:
    """Not tried for ever."""
    pool = EncoderPool([{"files": encoder.files}], longest=1000, start_seconds=SECONDS, piece_seconds=1e-4)
    with pytest.raises(WorkerError, match=r"2 worker processes in a row .* did not answer within 0\.0001 s"):
        pool.encode_documents(["planet " * 200] * 50)
    pool.close()


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else stands where Python should, and ends at once."""
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    encoder = ColbertEncoder.from_pretrained(MODEL, workers=1)
    with pytest.raises(WorkerError, match="ended with status 1"):
        encoder.encode_documents(TEXTS)
    encoder.close()


@pytest.mark.parametrize("frozen", [True, False])
def test_where_no_process_can_be_started_this_one_encodes(
    frozen: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    expected: list[np.ndarray],
) -> None:
    """And says so, once."""
    if frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/nowhere/python")
    with ColbertEncoder.from_pretrained(MODEL, workers=2) as encoder:
        for _ in range(2):
            assert_same(encoder.encode_documents(TEXTS), expected)
    assert caplog.text.count("no worker process can be started") == 1


@pytest.mark.parametrize("workers", [-1, True, 1.5, "2"])
def test_workers_are_a_count(workers: object) -> None:
    """Errors name the option."""
    with pytest.raises(InputError, match="workers is"):
        ColbertEncoder.from_pretrained(MODEL, workers=workers)  # type: ignore[arg-type]


# --- devices --------------------------------------------------------------------------------------------------------


def test_workers_take_the_devices_in_turn() -> None:
    """Also those of a provider with other options, and those of several providers; the CPU has none."""
    providers = ["tensorrt", ("cuda", {"arena_extend_strategy": "kSameAsRequested"}), "cpu"]
    encoder = ColbertEncoder.from_pretrained(MODEL, providers=providers, device_ids=[1, 3], workers=3)
    assert encoder._pool is not None
    chosen = [options["providers"] for options in encoder._pool._options]
    for device, found in zip([1, 3, 1], chosen, strict=True):
        assert found == [
            ("tensorrt", {"device_id": device}),
            ("cuda", {"arena_extend_strategy": "kSameAsRequested", "device_id": device}),
            "cpu",
        ]
    assert providers[1] == ("cuda", {"arena_extend_strategy": "kSameAsRequested"})


@pytest.mark.parametrize(("devices", "workers"), [([0, 1], 2), ([1], 0), (None, 0)])
def test_each_device_has_a_worker_unless_there_is_one(devices: list[int] | None, workers: int) -> None:
    """One device needs no other process."""
    encoder = ColbertEncoder.from_pretrained(MODEL, providers=["cuda"], device_ids=devices)
    assert encoder.workers == workers
    assert pickle.loads(pickle.dumps(encoder)).workers == workers


@pytest.mark.parametrize(
    ("devices", "providers"),
    [([0, 1], None), ([0], ["cpu"]), ([], ["cuda"]), ([-1], ["cuda"]), ([True], ["cuda"]), ("01", ["cuda"])],
)
def test_devices_that_cannot_be_are_refused(devices: list[int], providers: list[str] | None) -> None:
    """A CPU has no numbers, and a device's number is no truth value."""
    with pytest.raises(InputError, match="device_ids"):
        ColbertEncoder.from_pretrained(MODEL, providers=providers, device_ids=devices)


def test_a_device_named_twice_is_refused() -> None:
    """In the provider's own options and in device_ids."""
    with pytest.raises(InputError, match="names a device_id, too"):
        ColbertEncoder.from_pretrained(MODEL, providers=[("cuda", {"device_id": 0})], device_ids=[0, 1])


# --- closing, copying, sharing --------------------------------------------------------------------------------------


@processes
def test_closing_ends_the_processes_and_a_later_call_starts_others(
    encoder: ColbertEncoder, expected: list[np.ndarray]
) -> None:
    """Twice is as good as once."""
    encoder.encode_documents(TEXTS)
    first = pids(encoder)
    encoder.close()
    encoder.close()
    assert_gone(first)
    assert_same(encoder.encode_documents(TEXTS), expected)
    assert set(pids(encoder)).isdisjoint(first)


def test_what_was_closed_is_forgotten(encoder: ColbertEncoder) -> None:
    """A service that closes its workers whenever it is idle does not grow."""
    encoder.start_workers()
    assert encoder._pool is not None
    crew = weakref.ref(encoder._pool._crew)
    encoder.close()

    def is_gone() -> bool:
        gc.collect()
        return crew() is None

    wait_until(is_gone)


@processes
def test_closing_in_the_middle_of_a_call_is_that_calls_error(encoder: ColbertEncoder) -> None:
    """Whoever waits is told, and does not wait for ever."""
    encoder.encode_documents(TEXTS)
    for pid in pids(encoder):
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(encoder.encode_documents, TEXTS)
        time.sleep(0.2)
        encoder.close()
        with pytest.raises(WorkerError, match="closed while documents were waiting"):
            waiting.result(SECONDS)


@processes
def test_an_encoder_that_nobody_has_leaves_no_process() -> None:
    """Forgotten without a close."""
    encoder = ColbertEncoder.from_pretrained(MODEL, workers=2)
    encoder.encode_documents(TEXTS)
    left = pids(encoder)
    del encoder
    gc.collect()
    assert_gone(left)


def test_a_pickled_reranker_starts_its_own(expected: list[np.ndarray]) -> None:
    """A pickle carries the wish for workers, and no process; a copy shares them."""
    with Reranker.from_pretrained(MODEL, workers=2) as reranker:
        ranking = reranker.rank(QUERY, TEXTS)
        assert copy.deepcopy(reranker).encoder is reranker.encoder
        with pickle.loads(pickle.dumps(reranker)) as restored:
            assert restored.encoder.workers == 2
            assert pids(restored.encoder) == []
            assert restored.rank(QUERY, TEXTS) == ranking
            assert set(pids(restored.encoder)).isdisjoint(pids(reranker.encoder))


def test_threads_share_the_workers(encoder: ColbertEncoder, expected: list[np.ndarray]) -> None:
    """Eight at once, the first start among them, each with texts of its own."""

    def work(seed: int) -> bool:
        order = np.random.default_rng(seed).permutation(len(TEXTS))
        assert_same(encoder.encode_documents([TEXTS[at] for at in order]), [expected[at] for at in order])
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(24)))
    assert len(pids(encoder)) == 2


async def test_tasks_share_the_workers() -> None:
    """As an async service does it."""
    with Reranker.from_pretrained(MODEL, workers=2, cache=False) as reranker:
        expected = reranker.rank(QUERY, TEXTS)
        calls = [asyncio.to_thread(reranker.rank, QUERY, TEXTS) for _ in range(6)]
        assert await asyncio.gather(*calls) == [expected] * 6


# --- parents of every kind ------------------------------------------------------------------------------------------

SCRIPT = f"""
import sys, time
from laterank import ColbertEncoder
from laterank.encoding import pool
pool.START_CHARACTERS = pool.RUNNING_CHARACTERS = 1
encoder = ColbertEncoder.from_pretrained({str(MODEL)!r}, workers=2)
texts = [f"Mars is planet number {{n}} " * 5 for n in range(40)]
assert len(encoder.encode_documents(texts)) == 40
print(*encoder._pool._crew.pids, flush=True)
"""
FOR_EVER = SCRIPT + "while True: encoder.encode_documents(texts)\n"


def run_script(*arguments: str, given: str | None = None) -> list[int]:
    """Run Python to its end and return the numbers that it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return [int(number) for number in ended.stdout.split()]


@processes
@pytest.mark.parametrize("way", ["file", "-c", "stdin"])
def test_no_main_guard_is_needed(way: str, tmp_path: Path) -> None:
    """The caller's main module is not run again, whether it is a file or none; and nothing is left at its end."""
    if way == "file":
        (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
        left = run_script("-X", "dev", "-W", "error", str(tmp_path / "script.py"))
    elif way == "-c":
        left = run_script("-c", SCRIPT)
    else:
        left = run_script("-", given=SCRIPT)
    assert_gone(left)


def started_parent(script: str = FOR_EVER) -> "tuple[subprocess.Popen[str], list[int]]":
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    return parent, [int(number) for number in parent.stdout.readline().split()]


@processes
def test_ctrl_c_ends_parent_and_workers() -> None:
    """In the middle of a call, sent to the whole group as a terminal does; the one traceback is the parent's."""
    parent, workers = started_parent()
    time.sleep(0.3)
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate(timeout=SECONDS)
    assert errors.count("Traceback") == 1
    assert errors.strip().endswith("KeyboardInterrupt")
    assert_gone(workers)


@processes
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_parent_that_is_killed_leaves_no_worker(how: signal.Signals) -> None:
    """However suddenly."""
    parent, workers = started_parent()
    parent.send_signal(how)
    parent.communicate(timeout=SECONDS)
    assert_gone(workers)


@processes
@pytest.mark.skipif(sys.version_info < (3, 11), reason="subprocess makes no process groups")
@pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux only")
def test_a_stopped_worker_does_not_outlive_its_parent() -> None:
    """It can do nothing by itself: the system has to wake it."""
    parent, workers = started_parent(SCRIPT + "time.sleep(60)\n")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(states(pid) == {"T"} for pid in workers))
    parent.kill()
    parent.communicate(timeout=SECONDS)
    assert_gone(workers)


@processes
def test_a_fork_that_outlives_the_parent_keeps_no_worker_alive() -> None:
    """It has copies of the pipes, which it closes."""
    script = (
        SCRIPT + "import os\nif os.fork() == 0: time.sleep(60)\nprint('forked', flush=True)\ntime.sleep(60)\n"
    )
    parent, workers = started_parent(script)
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.kill()
    assert_gone(workers)
    os.killpg(parent.pid, signal.SIGKILL)  # the fork, which still lives
    parent.communicate()


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_its_own_workers(encoder: ColbertEncoder, expected: list[np.ndarray]) -> None:
    """As gunicorn's preload does it, in the middle of other threads' calls; the parent's workers go on."""
    encoder.encode_documents(TEXTS)
    first, stop = pids(encoder), threading.Event()

    def work() -> None:
        while not stop.is_set():
            encoder.encode_documents(TEXTS[:10])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(3):
            child = os.fork()
            if child == 0:
                right = False
                try:
                    found = encoder.encode_documents(TEXTS)
                    right = set(pids(encoder)).isdisjoint(first) and len(found) == len(TEXTS)
                    encoder.close()
                finally:
                    os._exit(0 if right else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    assert_same(encoder.encode_documents(TEXTS), expected)
    assert pids(encoder) == first


def _rank_in_a_daemon(answers: "multiprocessing.Queue[object]") -> None:
    pool_module.START_CHARACTERS = 1
    with ColbertEncoder.from_pretrained(MODEL, workers=2) as encoder:
        rows = encoder.encode_documents(TEXTS)
        answers.put((pids(encoder), len(rows)))


@processes
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_daemonic_process_may_have_workers(method: str) -> None:
    """multiprocessing would forbid it; these are none of its own."""
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    daemon = context.Process(target=_rank_in_a_daemon, args=(answers,), daemon=True)
    daemon.start()
    workers, count = answers.get(timeout=60)
    daemon.join(SECONDS)
    assert (count, daemon.exitcode) == (len(TEXTS), 0)
    assert_gone(workers)


def test_what_is_printed_in_a_worker_harms_no_message(tmp_path: Path) -> None:
    """By a site's customisation, at once: only what follows it is an answer."""
    (tmp_path / "sitecustomize.py").write_text("print('customised')\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
            "PYTHONUNBUFFERED": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("customised")
