"""Apply a function to every draw of a posterior, as fast as the machine allows."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from .._compute import (
    fold_in,
    gather_shares,
    items_in_cache,
    items_in_memory,
    map_chunks,
    share_of_process,
)
from .._model import get_parameters, sample_all_parameters

# Calls that each worker makes in a run, where there are enough draws: enough for a
# progress bar and an even load, few enough that calling costs nothing.
CALLS_PER_WORKER = 4
# XLA drops an axis of size 1 and then rounds some draws otherwise, by one unit in the
# last place. With two or more in lock-step the weights are the same bit for bit.
SMALLEST_BATCH = 2


def map_posterior(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int,
    batch_size: int | None = None,
    gather: bool = True,
    progress: bool = False,
) -> PyTree:
    """Apply a function to draws of a posterior and stack the results.

    Runs on the host, not under `jax.jit`; `map_posterior_pure` is its twin for there.
    Chunks of draws go to all cores and local devices. The processes of a
    `jax.distributed` job, which all make the same call, take equal shares of the draws.
    Draw `i` has the key `jax.random.fold_in(key, i)`, whatever the chunks, so the first
    100 of 1,000 draws are the 100.

    Args:
        fn: Called with a drawn model, traced by JAX. Pass the same function again to
            use its compiled code again; arrays that change belong into a callable
            `equinox.Module` or an `equinox.Partial`, not into a closure.
        posterior: A model with parameters.
        key: A JAX random key.
        num_samples: How many draws, at least 1.
        batch_size: How many draws run in lock-step at most (but never fewer than 2); by
            default as many as the weights of which stay in a core's cache, or on a GPU
            as fit its free memory.
        gather: With several processes, whether each gets the results of all draws, or
            keeps those of its share: of `n` processes, process `p` has the draws from
            `p * num_samples // n` up to `(p + 1) * num_samples // n`.
        progress: Whether to show draws done and their rate (needs tqdm).

    Returns:
        What `fn` returns, every leaf with a leading axis of `num_samples`.

    Raises:
        ValueError: If `num_samples` or `batch_size` is below 1, or there are fewer
            draws than processes.
        RuntimeError: If called under a JAX transformation.

    Example:
        ```python
        rates = map_posterior(
            lambda drawn: jnp.exp(drawn.log_rates.mean),
            model,
            key=jax.random.key(0),
            num_samples=1_000,
        )
        ```
    """
    _check_counts(num_samples, batch_size)
    share = share_of_process(num_samples)
    results = None
    for start, chunk in stream_posterior(
        fn,
        posterior,
        key=key,
        num_samples=num_samples,
        batch_size=batch_size,
        progress=progress,
    ):
        if results is None:
            results = jax.tree.map(
                lambda leaf: np.empty((len(share), *leaf.shape[1:]), leaf.dtype), chunk
            )
        for whole, part in zip(
            jax.tree.leaves(results), jax.tree.leaves(chunk), strict=True
        ):
            whole[start - share.start :][: len(part)] = part
    if gather:
        results = gather_shares(results, num_samples)
    return jax.tree.map(jnp.asarray, results)


def map_posterior_pure(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int,
    batch_size: int | None = None,
) -> PyTree:
    """`map_posterior` for use under `jax.jit`, `jax.vmap` and `jax.grad`.

    Args:
        fn: Called with a drawn model.
        posterior: A model with parameters.
        key: A JAX random key.
        num_samples: How many draws, at least 1.
        batch_size: How many draws run in lock-step; all of them if `None`.

    Returns:
        What `fn` returns, every leaf with a leading axis of `num_samples`, for the same
        draws as `map_posterior` takes.

    Raises:
        ValueError: If `num_samples` or `batch_size` is below 1.
    """
    _check_counts(num_samples, batch_size)

    def one(index):
        return fn(sample_all_parameters(posterior, fold_in(key, index)))

    indices = jnp.arange(num_samples)
    if batch_size is None:
        return jax.vmap(one)(indices)
    return lax.map(one, indices, batch_size=batch_size)


def stream_posterior(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int,
    batch_size: int | None = None,
    progress: bool = False,
) -> Iterator[tuple[int, PyTree]]:
    """`map_posterior`, handed out chunk by chunk.

    Of several processes, each hands out the chunks of its share.

    Args:
        fn: Called with a drawn model, as in `map_posterior`.
        posterior: A model with parameters.
        key: A JAX random key.
        num_samples: How many draws, at least 1.
        batch_size: How many draws run in lock-step.
        progress: Whether to show draws done and their rate (needs tqdm).

    Yields:
        The index of the first draw of a chunk and the chunk's results, NumPy arrays
        with a leading axis of draws. Chunks come in order.

    Raises:
        ValueError: If `num_samples` or `batch_size` is below 1, or there are fewer
            draws than processes.
        RuntimeError: If called under a JAX transformation.
    """
    _check_counts(num_samples, batch_size)
    leaves = jax.tree.leaves(posterior)
    if any(isinstance(leaf, Tracer) for leaf in [key, *leaves]):
        raise RuntimeError(
            "This runs on the host and cannot be traced. Under `jax.jit`, `jax.vmap` "
            "or `jax.grad` use `map_posterior_pure`."
        )
    devices = jax.local_devices()
    on_cpu = devices[0].platform == "cpu"
    # One CPU device runs a loop on one core, so as many threads as cores share it.
    num_workers = max(os.cpu_count() or 1, len(devices)) if on_cpu else len(devices)
    num_bytes = sum(p.mean.nbytes for p in get_parameters(posterior).values())
    if batch_size is None and on_cpu:
        batch_size = items_in_cache(num_bytes)
    elif batch_size is None:
        batch_size = items_in_memory(num_bytes, devices[0]) or num_samples
    share = share_of_process(num_samples)
    batch_size, num_batches = _even_chunks(len(share), batch_size, num_workers)
    per_call = batch_size * num_batches
    offsets = np.arange(per_call).reshape(num_batches, batch_size)
    inputs = (fn, posterior, key)
    placed = [_put(inputs, d) for d in devices] if len(devices) > 1 else [inputs]

    def run(start, worker):
        fn, posterior, key = placed[worker % len(devices)]
        stacked = _run(fn, posterior, key, start + offsets)
        keep = min(per_call, share.stop - start)
        return jax.tree.map(
            lambda leaf: np.asarray(leaf).reshape(per_call, *leaf.shape[2:])[:keep],
            stacked,
        )

    starts = list(share[::per_call])
    with _progress_bar(len(share), progress) as advance:
        for start, chunk in map_chunks(run, starts, num_workers=num_workers):
            advance(min(per_call, share.stop - start))
            yield start, chunk


@contextmanager
def _progress_bar(num_samples: int, progress: bool) -> Iterator[Callable[[int], Any]]:
    if not progress:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "`progress=True` needs tqdm: pip install 'BayesianJaxModels[examples]'."
        ) from error
    with tqdm(total=num_samples, unit=" draws") as bar:
        yield bar.update


def _put(tree: PyTree, device: Any) -> PyTree:
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, device), rest)


@eqx.filter_jit
def _run(
    fn: Callable, posterior: PyTree, key: PRNGKeyArray, indices: Int[Array, "m n"]
) -> PyTree:
    def one(index):
        return fn(sample_all_parameters(posterior, fold_in(key, index)))

    return lax.map(jax.vmap(one), indices)


def _even_chunks(num_samples: int, fitting: int, num_workers: int) -> tuple[int, int]:
    """Batch size and batches in a call, so that all workers end about together."""
    per_worker = -(-num_samples // (num_workers * fitting))
    batch_size = -(-num_samples // (num_workers * per_worker))
    return max(batch_size, SMALLEST_BATCH), -(-per_worker // CALLS_PER_WORKER)


def _check_counts(num_samples: int, batch_size: int | None) -> None:
    for name, count in (("num_samples", num_samples), ("batch_size", batch_size)):
        if count is not None and count < 1:
            raise ValueError(f"`{name}` must be at least 1, but got {count}.")
