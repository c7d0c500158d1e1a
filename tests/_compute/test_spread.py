import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._compute import collect, count_workers, progress_bar, spread
from BayesianJaxModels._compute.spread import _even_chunks


def square(scale, index):
    return {"square": scale * index**2, "pair": jnp.stack([index, -index])}


def chunks_of(num_items, **settings):
    fn = eqx.Partial(square, jnp.array(3))
    return list(spread(fn, num_items, bytes_per_item=8, **settings))


@pytest.mark.cpu("chunks come in NumPy from a CPU")
@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
def test_every_item_comes_once_and_in_order(batch_size):
    chunks = chunks_of(23, batch_size=batch_size)
    start = 0
    for first, chunk in chunks:
        assert first == start
        assert isinstance(chunk["square"], np.ndarray)
        assert chunk["pair"].shape == (len(chunk["square"]), 2)
        start += len(chunk["square"])
    whole = collect(iter(chunks), 23)
    index = np.arange(23)
    np.testing.assert_array_equal(whole["square"], 3 * index**2)
    np.testing.assert_array_equal(whole["pair"], np.stack([index, -index], 1))


def test_items_on_a_device_are_joined_there():
    parts = [(0, jnp.arange(3.0)), (3, jnp.arange(3.0, 5.0))]
    found = collect(iter(parts), 5)
    assert isinstance(found, jax.Array)
    np.testing.assert_array_equal(found, np.arange(5.0))
    alone = jnp.arange(5.0)
    assert collect(iter([(0, alone)]), 5) is alone


@pytest.mark.parametrize("num_items", [1, 2, 5, 64, 1_000, 10_007])
@pytest.mark.parametrize("fitting", [1, 2, 7, 1_000])
@pytest.mark.parametrize("num_workers", [1, 3, 16])
def test_workers_end_about_together(num_items, fitting, num_workers):
    batch_size, num_batches = _even_chunks(num_items, fitting, num_workers)
    assert 2 <= batch_size <= max(fitting, 2)
    assert num_batches >= 1
    calls = -(-num_items // (batch_size * num_batches))
    # No worker has more than four calls, but for items that come in twos at least.
    assert calls <= 4 * num_workers
    if num_items >= 2 * num_workers:
        assert calls > num_workers / 2


def test_counts_below_one_and_tracing_raise():
    with pytest.raises(ValueError, match="^`batch_size` must be at least 1, but got 0"):
        chunks_of(3, batch_size=0)

    def traced(scale):
        return list(spread(eqx.Partial(square, scale), 3, bytes_per_item=8))

    message = "^This runs on the host and cannot be traced.*use `map_posterior_pure`"
    with pytest.raises(RuntimeError, match=message):
        jax.jit(traced)(jnp.array(3))


def test_a_bar_counts_to_the_total_in_its_unit(monkeypatch):
    with progress_bar(5, None) as advance:
        assert advance(3) is None
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with (
        pytest.raises(ImportError, match=r"tqdm.*BayesianJaxModels\[examples\]"),
        progress_bar(5, "draws"),
    ):
        pass


def test_there_is_a_worker_for_each_core():
    assert count_workers() >= len(jax.local_devices()) >= 1
