"""Kinds of one's own, and times."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._dynamics._jumps.base import check_saved, read_jump_times


class Halved(bjm.AbstractJumps):
    times: Any
    saved: str = "after"
    was_known: bool = True

    def jump(self, now, t, y, args):
        return jnp.where(jnp.any(now), y / 2, y)


def test_a_kind_of_ones_own():
    jumps = Halved(np.array([1.0]))
    found = bjm.integrate(lambda t, y, args: y, 1.0, np.arange(3.0), jumps=jumps)
    np.testing.assert_allclose(found.ys, np.exp([0, 1, 2]) / [1, 2, 2], rtol=1e-4)
    assert jumps.slope(jnp.array(0.0), 1.0) is None
    np.testing.assert_array_equal(jumps.shifted(2.0).times, [3.0])
    rows = jumps.shifted(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(rows.times, [[2.0], [3.0]])
    assert (jumps.axes.times, rows.axes.times) == (None, 0)


@pytest.mark.parametrize(
    "given", [1.0, [1.0, 2.0], [[1.0, np.nan], [1.0, 2.0]], [1, 2]]
)
def test_times_that_are_known(given):
    times, was_known = read_jump_times(given)
    assert was_known
    assert isinstance(times, np.ndarray)
    np.testing.assert_array_equal(times, np.atleast_1d(given))


def test_times_that_are_not(x64):
    with pytest.raises(ValueError, match="must be finite, but are"):
        read_jump_times([1.0, np.inf])
    with pytest.raises(TypeError, match="`times` must be a real number"):
        read_jump_times("noon")
    assert check_saved("after") == "after"
