"""Chunks on GPUs, tried on a CPU: how many calls, and that nothing is read."""

from importlib import import_module

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._compute import accelerators
from BayesianJaxModels._compute.accelerators import map_on_accelerators
from tests.programs import calls_of_the_host

DEVICES = jax.local_devices()[:1]


class Square(eqx.Module):
    scale: jax.Array
    table: np.ndarray  # as the times of a solve are

    def __call__(self, index):
        return {"square": self.scale * index**2, "row": self.table[index % 3]}


FN = Square(jnp.array(3), np.arange(6.0, dtype="float32").reshape(3, 2))


def chunks_of(num_items, batch_size=None, fn=FN):
    return list(map_on_accelerators(fn, range(num_items), DEVICES, batch_size))


def assert_right(chunks, num_items):
    start = 0
    for first, count, chunk in chunks:
        assert first == start
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(chunk))
        assert {len(leaf) for leaf in jax.tree.leaves(chunk)} == {count}
        start += count
    assert start == num_items
    index = np.arange(num_items)
    whole = np.concatenate([chunk["square"] for _, _, chunk in chunks])
    np.testing.assert_array_equal(whole, 3 * index**2)
    rows = np.concatenate([chunk["row"] for _, _, chunk in chunks])
    np.testing.assert_array_equal(rows, FN.table[index % 3])


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
@pytest.mark.parametrize("num_items", [1, 23])
def test_there_is_one_call_where_memory_allows(num_items, batch_size):
    chunks = chunks_of(num_items, batch_size)
    assert len(chunks) == 1
    assert_right(chunks, num_items)


@pytest.mark.parametrize("batch_size", [None, 300])
def test_memory_is_what_the_compiled_program_takes(monkeypatch, batch_size):
    many = 10_000
    alone = accelerators._bytes_of(FN, None, accelerators._shape(many, batch_size))
    assert alone >= many * 12  # a number and two of a row
    for free, most in ((alone / 0.9, 1), (alone, 4), (alone / 4, 16)):
        monkeypatch.setattr(accelerators, "_free_bytes", lambda _, free=free: free)
        chunks = chunks_of(many, batch_size)
        assert_right(chunks, many)
        assert len(chunks) <= most
        sizes = {count for _, count, _ in chunks}
        if len(chunks) > 1:
            shape = accelerators._shape(max(sizes), batch_size)
            assert accelerators._bytes_of(FN, None, shape) <= 0.4 * free + 64
    # At least two items run in lock-step, whatever there is.
    monkeypatch.setattr(accelerators, "_free_bytes", lambda _: 0.0)
    assert_right(chunks_of(5, batch_size), 5)


@pytest.mark.parametrize(
    ("stats", "free"),
    [(None, None), ({}, None), ({"bytes_limit": 9, "bytes_in_use": 2}, 7)],
)
def test_the_memory_that_is_free(stats, free):
    class Device:
        def memory_stats(self):
            return stats

    assert accelerators._free_bytes(Device()) == free


def test_nothing_is_sent_or_read_and_a_second_call_compiles_nothing(monkeypatch):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event)
    )
    alone = accelerators._bytes_of(FN, None, (1, 60))
    monkeypatch.setattr(accelerators, "_free_bytes", lambda _: float(2 * alone))
    # The program that was measured is the one that runs.
    assert len(chunks_of(60)) == 1
    assert len([event for event in compiled if "backend_compile" in event]) == 1
    monkeypatch.setattr(accelerators, "_free_bytes", lambda _: float(alone))
    expected = chunks_of(60)
    assert len(expected) > 1
    compiled.clear()
    other = eqx.tree_at(lambda fn: fn.scale, FN, jnp.array(5))
    with jax.transfer_guard("disallow"):
        found = chunks_of(60, fn=other)
    assert not [event for event in compiled if "backend_compile" in event]
    for (*_, one), (*_, five) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(5 * one["square"], 3 * five["square"])


def test_a_chunk_starts_before_the_one_before_is_taken(monkeypatch):
    monkeypatch.setattr(accelerators, "_items_per_call", lambda *_: 2)
    started = []

    def run(fn, first, shape):
        started.append(int(first))
        return {"square": jnp.zeros(2), "row": jnp.zeros((2, 2))}

    monkeypatch.setattr(accelerators, "_run", run)
    chunks = map_on_accelerators(FN, range(8), DEVICES, None)
    next(chunks)
    assert started == [0, 2]
    next(chunks)
    assert started == [0, 2, 4]
    assert len(list(chunks)) == 2


def test_devices_take_turns(monkeypatch):
    monkeypatch.setattr(accelerators, "_items_per_call", lambda *_: 3)
    chunks = list(map_on_accelerators(FN, range(12), DEVICES * 2, None))
    assert [start for start, _, _ in chunks] == [0, 3, 6, 9]
    assert_right(chunks, 12)


def test_draws_are_those_of_a_cpu_bit_for_bit(monkeypatch, key):
    model = bjm.BayesianMLP(2, 2, width=4, depth=1, key=key)
    settings = {"key": key, "num_samples": 37}
    expected = bjm.map_posterior(bjm.flatten_means, model, **settings)
    spread = import_module("BayesianJaxModels._compute.spread")
    monkeypatch.setattr(spread, "_is_accelerator", lambda device: True)
    for batch_size in (None, 5):
        found = bjm.map_posterior(
            bjm.flatten_means, model, batch_size=batch_size, **settings
        )
        np.testing.assert_array_equal(found, expected)
    chunks = list(bjm.stream_posterior(bjm.flatten_means, model, **settings))
    assert all(isinstance(chunk, jax.Array) for _, chunk in chunks)


def test_a_call_has_no_callbacks():
    first = jnp.int32(0)
    assert not calls_of_the_host(lambda i: accelerators._run(FN, i, (2, 3)), first)
