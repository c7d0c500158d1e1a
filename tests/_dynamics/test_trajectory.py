import jax
import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS

import BayesianJaxModels as bjm
from BayesianJaxModels._dynamics.event import End
from tests._dynamics.cases import decay


def test_without_an_event():
    ts, starts = jnp.linspace(0.0, 4.0, 5), jnp.array([0.4, 0.1])

    def solve(scale):
        return bjm.integrate(
            lambda t, y, args: y**2, scale * starts, ts, batched=True, max_steps=64
        )

    trajectory = jax.jit(jax.vmap(solve))(jnp.array([1.0, 2.0, 0.2]))
    assert trajectory.event_mask is None
    assert not trajectory.ended_by_event.any()
    # 1 / (1 / y0 - t), infinite at 2.5 and at 1.25 for two of the six.
    np.testing.assert_array_equal(trajectory.t_end, [[2, 4], [1, 4], [4, 4]])
    last = [[2.0, 1 / 6], [4.0, 1.0], [1 / 8.5, 1 / 46]]
    np.testing.assert_allclose(trajectory.y_end, last, rtol=1e-3)
    for name in ("t_end", "y_end", "ended_by_event", "succeeded"):
        assert getattr(trajectory, name).shape == (3, 2)
    assert trajectory.is_reached.shape == (3, 2, 5)
    of_rows = bjm.integrate(
        decay, starts, jnp.stack([ts, 2 * ts]), args=0.0, batched=True
    )
    np.testing.assert_array_equal(of_rows.t_end, [4.0, 8.0])
    np.testing.assert_array_equal(of_rows.y_end, starts)


def made(ys, result, ts=None, end=None):
    """A trajectory with one solve for each entry of `result`."""
    ys = jax.tree.map(jnp.asarray, ys)
    codes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *result)
    num_steps = jnp.arange(1, len(result) + 1)
    ts = jnp.arange(float(len(jax.tree.leaves(ys)[0][0]))) if ts is None else ts
    return bjm.Trajectory(ts, ys, codes, num_steps, None, end)


NAN, INF = np.nan, np.inf
GOOD, ENDED, LATE = (
    RESULTS.successful,
    RESULTS.event_occurred,
    RESULTS.max_steps_reached,
)


def test_a_solve_is_good_if_diffrax_says_so_and_all_of_it_is_finite():
    ys = {
        "a": [[1.0, 2.0], [1.0, 2.0], [1.0, NAN], [1.0, 2.0], [INF, 2.0]],
        "b": [[[0.0], [0.0]]] * 3 + [[[0.0], [-INF]], [[0.0], [0.0]]],
    }
    found = made(
        jax.tree.map(np.array, ys, is_leaf=lambda x: isinstance(x, list)),
        [GOOD, LATE, GOOD, GOOD, GOOD],
    )
    np.testing.assert_array_equal(found.succeeded, [True] + [False] * 4)
    reached = [[True, True], [True, True], [True, False], [True, False], [False, True]]
    np.testing.assert_array_equal(found.is_reached, reached)
    assert found.num_failed == 4
    np.testing.assert_allclose(found.failed_fraction, 0.8, rtol=1e-6)
    assert not found.ended_by_event.any()


def test_the_end_is_the_last_time_with_a_state():
    ys = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, NAN], [6.0, NAN, NAN], [NAN] * 3])
    ts = np.array([10.0, 20.0, 40.0])
    found = made(ys[..., None], [GOOD, LATE, LATE, LATE], ts)
    np.testing.assert_array_equal(found.t_end, [40.0, 20.0, 10.0, 10.0])
    np.testing.assert_array_equal(found.y_end, [[3.0], [5.0], [6.0], [NAN]])
    # Of solves that have times of their own.
    rows = ts + np.arange(4.0)[:, None]
    found = made(ys, [GOOD, LATE, LATE, LATE], rows)
    np.testing.assert_array_equal(found.t_end, [40.0, 21.0, 12.0, 13.0])


def test_a_solve_that_an_event_ended_is_good_up_to_there():
    ys = np.array([[1.0, 2.0, NAN], [1.0, NAN, NAN], [1.0, 2.0, NAN], [1.0, 2.0, 3.0]])
    end = End(
        t=jnp.array([1.5, 1.5, 1.5, 2.0]),
        y=jnp.array([9.0, 9.0, NAN, 3.0]),
        event_mask=jnp.array([True, True, True, False]),
        is_reached=jnp.array([[True, True, False]] * 3 + [[True] * 3]),
    )
    found = made(ys, [ENDED, ENDED, ENDED, GOOD], end=end)
    # Of the others a state up to the end, or at it, is no number.
    np.testing.assert_array_equal(found.succeeded, [True, False, False, True])
    np.testing.assert_array_equal(found.ended_by_event, [True] * 3 + [False])
    reached = np.isfinite(ys)
    np.testing.assert_array_equal(found.is_reached, reached)
    assert found.t_end is end.t
    assert found.y_end is end.y
    assert found.event_mask is end.event_mask


def test_one_solve_has_numbers_and_no_axes():
    codes, ys = GOOD, jnp.array([1.0, 2.0])
    found = bjm.Trajectory(jnp.arange(2.0), ys, codes, jnp.array(3))
    assert found.succeeded.shape == found.t_end.shape == found.num_failed.shape == ()
    assert (found.t_end, found.y_end, found.num_failed) == (1.0, 2.0, 0)
