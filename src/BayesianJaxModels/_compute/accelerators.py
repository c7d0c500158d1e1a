"""Apply a function to ranges of items on GPUs: in as few calls as their memory allows.

A call starts on a GPU while Python goes on, and its results stay there: nothing here
waits for them, or reads them.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from .chunk import SMALLEST_BATCH, in_batches, put
from .map_chunks import signature

# Of the memory that a device has free, what one call may take; of several, one runs
# while the caller works with the results of the one before.
OF_ONE_CALL, OF_SEVERAL = 0.9, 0.4

_BYTES: dict[int, int] = {}


def map_on_accelerators(
    fn: Callable[[Int[Array, ""]], PyTree],
    share: range,
    devices: list[Any],
    batch_size: int | None,
) -> Iterator[tuple[int, int, PyTree]]:
    """Yield the first of some items, their number and `fn` of each, in order.

    Chunks go to the devices in turn, and on each one starts while the one before is
    with the caller.

    Args:
        fn: As in `spread`.
        share: The items.
        devices: On which there is memory for at least two items at a time.
        batch_size: How many items run in lock-step; as many as a call has if `None`.
    """
    places = devices if len(devices) > 1 else [None]
    placed = [(put(fn, place), place) for place in places]
    size = _items_per_call(*placed[0], len(share), devices, batch_size)
    shape = _shape(size, batch_size)
    waiting: deque = deque()
    for turn, start in enumerate(share[::size]):
        on, place = placed[turn % len(devices)]
        chunk = _run(on, jax.device_put(np.int32(start), place), shape)
        count = min(size, share.stop - start)
        if count < math.prod(shape):
            chunk = _first(chunk, count)
        waiting.append((start, count, chunk))
        if len(waiting) > len(devices):
            yield waiting.popleft()
    yield from waiting


@eqx.filter_jit
def _run(fn: Callable, first: Int[Array, ""], shape: tuple[int, int]) -> PyTree:
    indices = first + jnp.arange(math.prod(shape), dtype=first.dtype)
    if shape[0] == 1:
        return jax.vmap(fn)(indices)
    return in_batches(fn, indices.reshape(shape))


@eqx.filter_jit
def _first(chunk: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:count], chunk)


def _shape(size: int, batch_size: int | None) -> tuple[int, int]:
    """How many batches of how many items a call runs."""
    lock_step = size if batch_size is None else min(batch_size, size)
    lock_step = max(lock_step, SMALLEST_BATCH)
    return -(-size // lock_step), lock_step


def _items_per_call(
    fn: Callable, place: Any, count: int, devices: list[Any], batch_size: int | None
) -> int:
    """As many as fit, by the memory that the compiled program says it takes.

    Calls have one size, so that all devices end about together.
    """
    per_device, rounds = -(-count // len(devices)), 1
    most = -(-per_device // SMALLEST_BATCH)
    free = _free_bytes(devices[0])
    while free is not None and rounds < most:
        allowed = free * (OF_ONE_CALL if rounds == 1 else OF_SEVERAL)
        shape = _shape(-(-per_device // rounds), batch_size)
        needed = _bytes_of(fn, place, shape)
        if needed <= allowed:
            break
        fitting = math.ceil(rounds * needed / allowed) if allowed > 0 else most
        rounds = min(most, max(rounds + 1, fitting))
    return -(-per_device // rounds)


def _free_bytes(device: Any) -> int | None:
    """Of a device, or `None` where it does not say."""
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def _bytes_of(fn: Callable, place: Any, shape: tuple[int, int]) -> int:
    """What the program of a call takes beside its arguments.

    It is compiled for that, and not again when it is called.
    """
    first = jax.device_put(np.int32(0), place)
    known = signature((fn, shape))
    if known not in _BYTES:
        program: Any = _run
        compiled = program.lower(fn, first, shape).compile().compiled
        found = compiled.memory_analysis()
        sizes = (found.temp_size_in_bytes, found.output_size_in_bytes) if found else ()
        _BYTES[known] = sum(sizes)
    return _BYTES[known]
