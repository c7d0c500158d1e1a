"""Apply a function to many items, on all cores, devices and processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int, PyTree

from .._check import check_counts, import_extra
from .accelerators import map_on_accelerators
from .chunk import SMALLEST_BATCH, empty, in_batches, items_in_cache, put
from .map_chunks import compiled_once, count_workers, map_chunks
from .processes import gather_shares, share_of_process

# Calls that each worker makes in a run, where there are enough items: enough for a
# progress bar and an even load, few enough that calling costs nothing.
CALLS_PER_WORKER = 4


def spread(
    fn: Callable[[Int[Array, ""]], PyTree],
    num_items: int,
    *,
    bytes_per_item: int,
    batch_size: int | None = None,
    progress: str | None = None,
) -> Iterator[tuple[int, PyTree]]:
    """Apply `fn` to `index = 0 .. num_items - 1`, chunk by chunk.

    Of several processes, each takes its share of the items.

    Args:
        fn: A callable pytree, such as an `equinox.Partial`, traced by JAX. With other
            arrays it uses its compiled code again; other leaves are static.
        num_items: How many items.
        bytes_per_item: What an item reads again and again; sizes the chunks.
        batch_size: How many items run in lock-step instead.
        progress: What a progress bar counts, such as `"draws"`; no bar if `None`.

    Yields:
        The index of the first item of a chunk, and arrays with a leading axis of its
        items: of NumPy from a CPU; of JAX, left where they are, from other devices.
        Chunks come in order.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(fn)):
        raise RuntimeError(
            "This runs on the host and cannot be traced. Under `jax.jit`, `jax.vmap` "
            "or `jax.grad` use `map_posterior_pure`."
        )
    check_counts(batch_size=batch_size)
    devices, share = jax.local_devices(), share_of_process(num_items)
    with progress_bar(len(share), progress) as advance:
        if _is_accelerator(devices[0]):
            chunks = map_on_accelerators(fn, share, devices, batch_size)
        else:
            batch_size = batch_size or items_in_cache(bytes_per_item)
            chunks = _map_on_cores(fn, share, devices, batch_size)
        for start, count, chunk in chunks:
            if progress is not None:
                jax.block_until_ready(chunk)
            advance(count)
            yield start, chunk


def _map_on_cores(
    fn: Callable, share: range, devices: list[Any], batch_size: int
) -> Iterator[tuple[int, int, PyTree]]:
    """Yield the first of some items, their number and `fn` of each in NumPy."""
    num_workers = count_workers()
    batch_size, num_batches = _even_chunks(len(share), batch_size, num_workers)
    per_call = batch_size * num_batches
    offsets = np.arange(per_call).reshape(num_batches, batch_size)
    placed = [put(fn, d) for d in devices] if len(devices) > 1 else [fn]

    def run(start, worker):
        call = (placed[worker % len(devices)], start + offsets)
        with compiled_once(_run, call, worker % len(devices)):
            stacked = _run(*call)
        keep = share.stop - start
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:keep], stacked)

    starts = list(share[::per_call])
    for start, chunk in map_chunks(run, starts, num_workers=num_workers):
        yield start, min(per_call, share.stop - start), chunk


def collect(
    chunks: Iterator[tuple[int, PyTree]], num_items: int, *, gather: bool = True
) -> PyTree:
    """Stack what `spread` hands out: in JAX if the chunks are, else in NumPy.

    With several processes each gets the results of all items, or without `gather` keeps
    those of its share.
    """
    share = share_of_process(num_items)
    of_jax, results = [], None
    for start, chunk in chunks:
        leaves = jax.tree.leaves(chunk)
        if any(isinstance(leaf, jax.Array) for leaf in leaves):
            of_jax.append(chunk)
            continue
        if results is None:
            results = jax.tree.map(
                lambda leaf: empty((len(share), *leaf.shape[1:]), leaf.dtype), chunk
            )
        for whole, part in zip(jax.tree.leaves(results), leaves, strict=True):
            whole[start - share.start :][: len(part)] = part
    if len(of_jax) == 1:
        [results] = of_jax
    elif of_jax:
        on_one = jax.device_put(of_jax, jax.local_devices()[0])
        results = jax.tree.map(lambda *parts: jnp.concatenate(parts), *on_one)
    return gather_shares(results, num_items) if gather else results


@contextmanager
def progress_bar(total: int, unit: str | None) -> Iterator[Callable[..., Any]]:
    """A bar that counts in `unit`, or none for `None`; yields how to advance it.

    By a count, and with words by name to show beside it.
    """
    if unit is None:
        yield lambda count, **words: None
        return
    tqdm = import_extra("tqdm", "`progress=True`", "tqdm", "examples").tqdm
    with tqdm(total=total, unit=f" {unit}") as bar:

        def advance(count: int, **words: str) -> None:
            bar.set_postfix(words, refresh=False)
            bar.update(count)

        yield advance


def _is_accelerator(device: Any) -> bool:
    return device.platform != "cpu"


@eqx.filter_jit
def _run(fn: Callable, indices: Int[Array, "m n"]) -> PyTree:
    return in_batches(fn, indices)


def _even_chunks(num_items: int, fitting: int, num_workers: int) -> tuple[int, int]:
    """Batch size and batches in a call, so that all workers end about together."""
    per_worker = -(-num_items // (num_workers * fitting))
    batch_size = -(-num_items // (num_workers * per_worker))
    return max(batch_size, SMALLEST_BATCH), -(-per_worker // CALLS_PER_WORKER)
