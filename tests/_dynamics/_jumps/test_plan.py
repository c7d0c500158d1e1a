"""Jumps as a solve takes them."""

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import Doses, Solve
from BayesianJaxModels._dynamics._jumps import (
    JumpsTogether,
    check_after_start,
    run_forwards,
    with_stops,
)
from BayesianJaxModels._dynamics.clock import read_clock


def test_stops_are_those_of_all():
    span = read_clock(np.array([0.0, 5.0]), jump_ts=np.array([0.5])).begin()
    doses = Doses([1.0, 2.0], 1.0, duration=[0.0, 1.0])
    found = with_stops(span, (doses,)).jump_ts
    np.testing.assert_array_equal(found, [0.5, 1.0, 2.0, np.nan, 3.0])
    assert with_stops(span, ()) is span


def test_the_first_that_is_too_early_is_named():
    early = Doses(np.array([[1.0], [-0.5]]), 1.0)
    with pytest.raises(
        ValueError, match="`jumps` has 9.5, which is before the start at 10"
    ):
        check_after_start((early,), np.array([0.0, 10.0]))
    with pytest.raises(ValueError, match="has 3, which is before the start at 4"):
        Solve(np.array([5.0]), t0=4.0, y0=0.0, jumps=Doses(3.0, 1.0))


@pytest.mark.parametrize(
    ("times", "end", "expected"), [(1, 2, True), (-1, 2, False), (1, -2, False)]
)
def test_jumps_run_forwards(times, end, expected):
    assert run_forwards((Doses(times, 1.0),), jnp.array(float(end))) == expected


def test_states_that_are_solved_together_have_their_own_jumps():
    doses = JumpsTogether(Doses([1.0, 3.0], 6.0, 0, duration=[0.0, 2.0]), None)
    y = jnp.zeros((2, 3))
    now = jnp.array([True, False])
    np.testing.assert_array_equal(doses.jump(now, 1.0, y, None)[:, 0], [6.0, 6.0])
    np.testing.assert_array_equal(doses.slope(jnp.array(4.0), y)[:, 0], [3.0, 3.0])
    assert JumpsTogether(Doses(1.0, 6.0, 0), None).slope(jnp.array(4.0), y) is None
    np.testing.assert_array_equal(doses.moved(lambda times: times == 3, y), y)
