"""Apply a function to every draw of a posterior, as fast as the machine allows."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from .._check import check_counts
from .._compute import collect, fold_in, put, spread
from .._model import get_parameters
from .._posterior import as_posterior


def map_posterior(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None = None,
    gather: bool = True,
    progress: bool = False,
) -> PyTree:
    """Apply a function to draws of a posterior and stack the results.

    Runs on the host; under `jax.jit` use `map_posterior_pure`. Chunks of draws go to
    all cores and local devices. The processes of a `jax.distributed` job, which all
    make the same call, take equal shares of the draws. Draw `i` has the key
    `jax.random.fold_in(key, i)`, so the first 100 of 1,000 draws are the 100.

    Args:
        fn: Called with a drawn model, traced by JAX. The same function uses its
            compiled code again; arrays that change belong into a callable
            `equinox.Module` or an `equinox.Partial`, not into a closure.
        posterior: A model with parameters, or an `AbstractPosterior`.
        key: A JAX random key.
        num_samples: How many draws, at least 1; `None` for every draw of a
            `DrawsPosterior` once, in order, with `posterior.weights` as its weights.
        batch_size: How many draws run in lock-step at most (but never fewer than 2); by
            default as many as a core's cache holds weights of, or on a GPU as fit its
            free memory.
        gather: With several processes, whether each gets the results of all draws, or
            keeps those of its share: of `n` processes, process `p` has the draws from
            `p * num_samples // n` up to `(p + 1) * num_samples // n`.
        progress: Whether to show draws done and their rate (needs tqdm).

    Returns:
        What `fn` returns, every leaf with a leading axis of `num_samples`.

    Raises:
        ValueError: If `num_samples` or `batch_size` is below 1, there are fewer draws
            than processes, or `num_samples` is `None` for another kind of posterior.
        RuntimeError: If called under a JAX transformation.
        ImportError: If tqdm is missing where `progress` asks for it.

    Example:
        ```python
        log_rates = bjm.make_parameter([-0.7, 0.7], init_raw_stdv=0.4)
        settings = {"key": jax.random.key(0), "num_samples": 1_000}
        rates = bjm.map_posterior(lambda p: jnp.exp(p.mean), log_rates, **settings)
        rates.shape  # (1000, 2)
        ```
    """
    return map_with_index(
        eqx.Partial(_without_index, fn),
        posterior,
        key=key,
        num_samples=num_samples,
        batch_size=batch_size,
        gather=gather,
        progress=progress,
    )


def map_with_index(
    fn: Callable[[Any, Int[Array, ""]], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None = None,
    gather: bool = True,
    progress: bool = False,
) -> PyTree:
    """`map_posterior` of a function that is told the index of the draw too."""
    chunks = _stream(fn, posterior, key, num_samples, batch_size, progress)
    num_items = _count(posterior, num_samples)
    return put(collect(chunks, num_items, gather=gather))


def map_posterior_pure(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None = None,
) -> PyTree:
    """`map_posterior` for use under `jax.jit`, `jax.vmap` and `jax.grad`.

    Args:
        fn: As in `map_posterior`.
        posterior: As in `map_posterior`.
        key: As in `map_posterior`.
        num_samples: As in `map_posterior`.
        batch_size: How many draws run in lock-step; all of them if `None`.

    Returns:
        What `fn` returns, every leaf with a leading axis of `num_samples`, for the same
        draws as `map_posterior` takes.

    Raises:
        ValueError: If `num_samples` or `batch_size` is below 1, or `num_samples` is
            `None` for another kind of posterior.

    Example:
        ```python
        def half_life(rate):
            return jnp.log(2) / rate.mean

        @jax.jit
        def mean(rate, key):
            draws = bjm.map_posterior_pure(half_life, rate, key=key, num_samples=100)
            return jnp.mean(draws)

        rate = bjm.make_parameter(0.5, init_raw_stdv=0.1)
        jax.grad(mean)(rate, jax.random.key(0)).mean  # -2.8
        ```
    """
    check_counts(num_samples=num_samples, batch_size=batch_size)
    of_index = _of_index(eqx.Partial(_without_index, fn), posterior, key, num_samples)
    indices = jnp.arange(_count(posterior, num_samples))
    if batch_size is None:
        return jax.vmap(of_index)(indices)
    return lax.map(of_index, indices, batch_size=batch_size)


def stream_posterior(
    fn: Callable[[Any], PyTree],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None = None,
    progress: bool = False,
) -> Iterator[tuple[int, PyTree]]:
    """`map_posterior`, chunk by chunk.

    Of several processes, each yields the chunks of its share.

    Args:
        fn: As in `map_posterior`.
        posterior: As in `map_posterior`.
        key: As in `map_posterior`.
        num_samples: As in `map_posterior`. Chunks have no weights: for draws that count
            alike, as a `RunningSummary` needs them, give a number.
        batch_size: As in `map_posterior`.
        progress: As in `map_posterior`.

    Yields:
        The index of the first draw of a chunk and the chunk's results, arrays with a
        leading axis of draws: of NumPy from a CPU, of JAX from other devices, where
        they stay. Chunks come in order.

    Raises:
        ValueError: As `map_posterior` does.
        RuntimeError: If called under a JAX transformation.
        ImportError: If tqdm is missing where `progress` asks for it.

    Example:
        ```python
        def decayed(rate):
            return jnp.exp(-rate.mean)

        rate, total = bjm.make_parameter(0.5, init_raw_stdv=0.3), 0.0
        settings = {"key": jax.random.key(0), "num_samples": 1_000}
        for first, chunk in bjm.stream_posterior(decayed, rate, **settings):
            total += chunk.sum()
        total / 1_000  # 0.608
        ```
    """
    fn = eqx.Partial(_without_index, fn)
    return _stream(fn, posterior, key, num_samples, batch_size, progress)


def _stream(
    fn: Callable[[Any, Int[Array, ""]], PyTree],
    posterior: PyTree,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None,
    progress: bool,
) -> Iterator[tuple[int, PyTree]]:
    check_counts(num_samples=num_samples, batch_size=batch_size)
    parameters = get_parameters(as_posterior(posterior).model).values()
    return spread(
        _of_index(fn, posterior, key, num_samples),
        _count(posterior, num_samples),
        bytes_per_item=sum(parameter.mean.nbytes for parameter in parameters),
        batch_size=batch_size,
        progress="draws" if progress else None,
    )


def _of_index(
    fn: Callable, posterior: PyTree, key: PRNGKeyArray, num_samples: int | None
) -> Callable[[Int[Array, ""]], PyTree]:
    """From an index to `fn` of the draw with that index, and of the index."""
    posterior = as_posterior(posterior)
    if num_samples is None:
        return eqx.Partial(_of_item, fn, posterior)
    return eqx.Partial(_of_draw, fn, posterior, key)


def _of_item(fn, posterior, index):
    return fn(posterior.item(index), index)


def _of_draw(fn, posterior, key, index):
    return fn(posterior.draw(fold_in(key, index)), index)


def _without_index(fn, drawn, index):
    return fn(drawn)


def _count(posterior: PyTree, num_samples: int | None) -> int:
    """The number of draws, where `None` means all that a posterior is made of."""
    if num_samples is not None:
        return num_samples
    num_items = as_posterior(posterior).num_items
    if num_items is None:
        raise ValueError(
            "`num_samples` is None, which takes every draw of a posterior made of "
            f"draws, but this is a {type(posterior).__name__}. Say how many draws."
        )
    return num_items
