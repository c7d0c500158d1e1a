import os
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

from BayesianJaxModels._compute import map_chunks


def test_results_come_in_order_from_as_many_workers_as_asked_for():
    barrier = threading.Barrier(2, timeout=10)

    def run(start, worker):
        barrier.wait()  # passes only when both workers are in it
        time.sleep(0.01 * (start % 3))
        return start, worker

    results = list(map_chunks(run, list(range(8)), num_workers=2))
    assert [start for start, _ in results] == list(range(8))
    assert {worker for _, (_, worker) in results} == {0, 1}


def test_a_worker_runs_one_call_at_a_time():
    running = [0, 0]

    def run(start, worker):
        running[worker] += 1
        assert running[worker] == 1
        time.sleep(0.005)
        running[worker] -= 1

    assert len(list(map_chunks(run, list(range(20)), num_workers=2))) == 20


def test_few_results_exist_at_a_time():
    done = []

    def run(start, worker):
        done.append(start)

    chunks = map_chunks(run, list(range(100)), num_workers=2)
    next(chunks)
    time.sleep(0.1)
    assert len(done) <= 5
    chunks.close()


def test_an_exception_stops_the_rest():
    done = []

    def run(start, worker):
        done.append(start)
        if start == 3:
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        list(map_chunks(run, list(range(100)), num_workers=2))
    seen = len(done)
    assert seen < 20
    time.sleep(0.05)
    assert len(done) == seen


def test_threads_are_kept_for_the_next_run_and_are_nobody_elses():
    def all_threads():
        barrier = threading.Barrier(3, timeout=10)

        def run(start, worker):
            barrier.wait()  # or a thread that is done might take the next call too
            return threading.get_ident()

        return map_chunks(run, list(range(21)), num_workers=3)

    def threads_of(chunks):
        return {thread for _, thread in chunks}

    before = threads_of(all_threads())
    assert threads_of(all_threads()) == before
    under_way = all_threads()
    _, first = next(under_way)
    beside = threads_of(all_threads())
    assert first in before
    assert not beside & (threads_of(under_way) | {first})
    module = import_module("BayesianJaxModels._compute.map_chunks")
    assert len(module._IDLE[3]) == 1


def test_one_of_its_threads_may_close_it():
    waiting, stopped = threading.Event(), threading.Event()

    def run(start, worker):
        if start == 1:
            waiting.wait(10)
            chunks.close()
            stopped.set()

    chunks = map_chunks(run, list(range(9)), num_workers=2)
    next(chunks)
    waiting.set()
    assert stopped.wait(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_starts_threads_of_its_own():
    """In a process of its own, which no other test has given threads."""
    program = """
import os
from BayesianJaxModels._compute import map_chunks
call = lambda: list(map_chunks(lambda start, _: start, [0, 1, 2], num_workers=2))
assert len(call()) == 3
child = os.fork()
if child == 0:
    os._exit(len(call()))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    subprocess.run(command, check=True, timeout=120)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        (["200000 100000"], 2),
        (["150000 100000"], 2),
        (["50000 100000"], 1),
        (["max 100000"], 8),
        (["300000", "100000"], 3),
        (["-1", "100000"], 8),
        ([], 8),
        (["nothing of use"], 8),
    ],
)
def test_cores_are_those_that_the_process_may_use(monkeypatch, tmp_path, files, cores):
    module = import_module("BayesianJaxModels._compute.map_chunks")
    names = [str(tmp_path / str(place)) for place in range(max(len(files), 1))]
    for name, text in zip(names, files, strict=False):
        Path(name).write_text(text)
    monkeypatch.setattr(module, "QUOTAS", (names,))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    if sys.platform == "linux":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert module.count_cores() == cores
    if sys.platform == "linux":
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
        assert module.count_cores() == 1
