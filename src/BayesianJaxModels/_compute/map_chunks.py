"""Call a function for one range of items after another, on all cores and devices."""

import math
import os
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock, current_thread
from typing import Any

import jax
import numpy as np

from .settings import Settings, can_be_carried, fingerprint, holding, settings_here

# Where Linux keeps the time that a group of processes may take in a period, of the
# second version of its control groups and of the first.
QUOTAS = (
    ["/sys/fs/cgroup/cpu.max"],
    ["/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"],
)

NAME = "map_chunks"
# Threads that wait for the next run, by their number: to start two takes as long as a
# thousand short solves.
_IDLE: dict[int, list[ThreadPoolExecutor]] = defaultdict(list)
if at_fork := getattr(os, "register_at_fork", None):
    at_fork(after_in_child=_IDLE.clear)  # a fork has none of its threads

_COMPILING = Lock()
_COMPILED: set[int] = set()


def map_chunks(
    run: Callable[[int, int], Any],
    starts: list[int],
    *,
    num_workers: int,
) -> Iterator[tuple[int, Any]]:
    """Yield `(start, run(start, worker))` in the order of `starts`.

    In threads: compiled JAX code releases Python's lock, and one XLA device of a CPU
    runs a loop on one core. What the caller has set with the context managers of JAX
    holds in them too; where it cannot, the caller's thread makes all calls. A worker
    runs one call at a time, and at most two results for each exist at a time. If `run`
    raises, the calls under way are waited for and the others are dropped.
    """
    # For one call alone a thread would take longer to start than many calls to run.
    if len(starts) == 1 or not can_be_carried(settings := settings_here()):
        for start in starts:
            yield start, run(start, 0)
        return
    call = partial(_call, run, settings, deque(range(num_workers)))
    waiting = deque(starts)
    running: deque = deque()
    with _threads(num_workers) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * num_workers:
                    start = waiting.popleft()
                    running.append((start, pool.submit(call, start)))
                start, future = running.popleft()
                yield start, future.result()
        finally:
            for _, future in running:
                future.cancel()
            # One of its threads, which may close a generator that was dropped in a
            # cycle, must not wait for itself.
            if not current_thread().name.startswith(NAME):
                wait([future for _, future in running])


@contextmanager
def _threads(num_workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that nobody else has, kept for the next run."""
    try:
        pool = _IDLE[num_workers].pop()
    except IndexError:
        pool = ThreadPoolExecutor(num_workers, thread_name_prefix=NAME)
    try:
        yield pool
    finally:
        if _IDLE[num_workers]:
            pool.shutdown(wait=False)
        else:
            _IDLE[num_workers].append(pool)


def _call(run: Callable, settings: Settings, free_workers: deque, start: int) -> Any:
    """`run` as a worker that is free, with the settings of the caller's thread."""
    worker = free_workers.popleft()
    try:
        with holding(settings):
            return run(start, worker)
    finally:
        free_workers.append(worker)


def count_workers() -> int:
    """As many threads as keep all local devices, and all cores of a CPU, busy."""
    devices = jax.local_devices()
    on_cpu = devices[0].platform == "cpu"
    # One CPU device runs a loop on one core, so as many threads as cores share it.
    return max(count_cores(), len(devices)) if on_cpu else len(devices)


def count_cores() -> int:
    """As many as this process may use: by its affinity and the quota of its group."""
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = min(cores, len(os.sched_getaffinity(0)))
    for names in QUOTAS:
        try:
            words = " ".join(Path(name).read_text() for name in names).split()
            share = int(words[0]) / int(words[1])
        except (OSError, ValueError, IndexError):
            continue  # there is no such file, or no limit
        if share > 0:
            cores = min(cores, math.ceil(share))
    return cores


@contextmanager
def compiled_once(*inputs: Any) -> Iterator[None]:
    """Around the call of a compiled function, so that not two threads compile it.

    `inputs` are the function and what it is called with.
    """
    known = signature(inputs)
    with _COMPILING if known not in _COMPILED else nullcontext():
        first = known not in _COMPILED
        if first:
            yield
            _COMPILED.add(known)
    if not first:
        yield


def signature(inputs: Any) -> int:
    """The same for inputs that JAX would compile for once."""
    leaves, treedef = jax.tree.flatten(inputs)
    kinds = [
        (leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array | np.ndarray) else leaf
        for leaf in leaves
    ]
    return hash((treedef, tuple(kinds), fingerprint()))
