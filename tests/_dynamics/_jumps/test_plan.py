"""Jumps as a solve takes them."""

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import Doses, Solve
from BayesianJaxModels._dynamics._jumps import (
    JumpsTogether,
    check_known,
    run_forwards,
    with_stops,
)
from BayesianJaxModels._dynamics.clock import read_clock


def test_stops_are_those_of_all():
    span = read_clock(np.array([0.0, 5.0]), jump_ts=np.array([0.5])).begin()
    doses = Doses([1.0, 2.0], 1.0, duration=[0.0, 1.0])
    found, saved, _ = with_stops(span, (doses,), were_counted=True)
    stops = np.asarray(found.jump_ts)
    np.testing.assert_array_equal(stops[np.isfinite(stops)], [0.5, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(saved, [0.0, 5.0])


@pytest.mark.parametrize("ulps", [0, 1, 2, 3])
def test_times_that_are_one_but_for_rounding_become_one(ulps):
    time = later = np.float32(0.3)
    for _ in range(ulps):
        later = np.nextafter(later, np.float32(1))
    span = read_clock(np.array([0.0, later, 1.0], np.float32)).begin()
    doses = (Doses(time, 1.0), Doses(later, 1.0, duration=0.5))
    found, saved, (one, other) = with_stops(span, doses, were_counted=True)
    stops = np.asarray(found.jump_ts)
    assert np.isfinite(stops).sum() == 2
    assert one.times == other.times == saved[1] == time
    assert found.elapsed[1] == np.nextafter(time, np.float32(0))


def test_the_first_that_is_too_early_is_named():
    early = Doses(np.array([[1.0], [-0.5]]), 1.0)
    clock = read_clock(np.array([[0.0, 1.0], [10.0, 11.0]]), rows=True)
    with pytest.raises(
        ValueError, match="`jumps` has 9.5, which is before the start at 10"
    ):
        check_known((early,), clock)
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
    slope = doses.slope(jnp.array(4.0), y)
    np.testing.assert_allclose(slope[:, 0], [3.0, 3.0], rtol=1e-6)
    assert JumpsTogether(Doses(1.0, 6.0, 0), None).slope(jnp.array(4.0), y) is None
    np.testing.assert_array_equal(doses.moved(lambda times: times == 3, y), y)
