"""Shares and their sum; two real processes are in the tests of `map_posterior`."""

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from BayesianJaxModels._compute import gather_shares, share_of_process


@pytest.fixture
def processes(monkeypatch):
    """Make JAX say that there are so many, and that this is one of them."""

    def set_up(count, index=0):
        monkeypatch.setattr(jax, "process_count", lambda: count)
        monkeypatch.setattr(jax, "process_index", lambda: index)

    return set_up


@pytest.mark.parametrize(("num_items", "count"), [(11, 2), (7, 7), (10, 3), (1, 1)])
def test_shares_are_all_items_in_order_and_of_about_one_size(
    processes, num_items, count
):
    processes(count)
    shares = [share_of_process(num_items, process) for process in range(count)]
    assert [item for share in shares for item in share] == list(range(num_items))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_the_own_share_is_that_of_this_process(processes):
    processes(3, index=1)
    assert share_of_process(10) == share_of_process(10, 1) == range(3, 6)


def test_fewer_items_than_processes_raise(processes):
    processes(4)
    message = (
        "^`num_samples` is 3, but 4 processes share the draws. Ask for at least one "
        "for each, or start fewer processes.$"
    )
    with pytest.raises(ValueError, match=message):
        share_of_process(3)


def test_one_process_has_all_already():
    shares = {"x": np.arange(3)}
    assert gather_shares(shares, 3) is shares


def test_shares_of_different_size_are_joined_in_order(processes, monkeypatch):
    items = {"x": np.arange(11.0), "y": np.arange(22).reshape(11, 2)}
    processes(3)
    parts = [share_of_process(11, process) for process in range(3)]
    given = [
        jax.tree.map(lambda leaf, part=part: leaf[part.start : part.stop], items)
        for part in parts
    ]
    sent = []

    def allgather(padded):
        # Each process calls with arrays of the same shape.
        sent.append(padded)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *sent)

    monkeypatch.setattr(multihost_utils, "process_allgather", allgather)
    for share in given[:2]:
        with pytest.raises(ValueError, match="zip"):  # until all have sent theirs
            gather_shares(share, 11)
    found = gather_shares(given[2], 11)
    jax.tree.map(np.testing.assert_array_equal, found, items)
