"""Call a function for one range of items after another, on all cores and devices."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def map_chunks(
    run: Callable[[int, int], Any],
    starts: list[int],
    *,
    num_workers: int,
) -> Iterator[tuple[int, Any]]:
    """Yield `(start, run(start, worker))` in the order of `starts`.

    Threads serve, not processes: compiled JAX code lets go of Python's lock, and one
    XLA device of a CPU runs a loop on one core. At most two results for each worker
    exist at a time, so a caller that keeps none needs little memory.

    Args:
        run: Called with a start and the index of a worker, in `0 .. num_workers - 1`;
            a worker runs one call at a time. It must return when its result is ready.
        starts: The first item of each range.
        num_workers: How many threads.

    Raises:
        Exception: Whatever `run` raises, at once; the calls under way are waited for
            and the others are dropped.
    """
    free_workers = deque(range(num_workers))

    def call(start: int) -> Any:
        worker = free_workers.popleft()
        try:
            return run(start, worker)
        finally:
            free_workers.append(worker)

    waiting = deque(starts)
    running: deque = deque()
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="map_chunks")
    try:
        while waiting or running:
            while waiting and len(running) < 2 * num_workers:
                start = waiting.popleft()
                running.append((start, pool.submit(call, start)))
            start, future = running.popleft()
            yield start, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
