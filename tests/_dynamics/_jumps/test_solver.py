"""Where a step begins with a jump."""

import jax.numpy as jnp
import numpy as np

from BayesianJaxModels import Doses, Jumps
from BayesianJaxModels._dynamics._jumps import add_slopes, jump_at, jump_where_saved
from BayesianJaxModels._dynamics._jumps.solver import _is_just_before, just_before
from BayesianJaxModels._dynamics.clock import UsersTime

TIME = UsersTime(jnp.array(0.0), None)


def test_a_step_after_a_jump_begins_one_number_after_it():
    times = jnp.array([1.0, 1.0 + 1e-3])
    after = jnp.nextafter(times[0], jnp.inf)
    np.testing.assert_array_equal(_is_just_before(times, after), [True, False])
    before = jnp.nextafter(times[0], -jnp.inf)
    np.testing.assert_array_equal(_is_just_before(times, before), [False, False])


def test_saved_times_at_jumps_come_just_before_them():
    jumps = (Doses([0.0, 2.0], 5.0), Doses(3.0, 1.0, saved="after"))
    ts = jnp.array([0.0, 1.0, 2.0, 3.0])
    found = just_before(ts, jumps)
    np.testing.assert_array_equal(found == ts, [True, True, False, False])
    assert jnp.nextafter(found[2], jnp.inf) == 2.0
    ys = jnp.array([5.0, 5.0, 5.0, 10.0])
    saved = jump_where_saved(ts, ys, jnp.array(0.0), jumps, None, TIME)
    np.testing.assert_array_equal(saved, [0.0, 5.0, 5.0, 11.0])


def test_several_things_happen_in_their_order():
    jumps = (Doses(1.0, 5.0), Jumps(1.0, lambda t, y, args: args * y))
    at = jump_at(jnp.array(1.0), jnp.array(1.0), jumps, 2.0, TIME)
    assert at == 12.0
    flow = Doses([1.0, 5.0], [6.0, 1.0], duration=[3.0, 0.0])
    slopes = [
        float(add_slopes(jnp.array(t), 0.0, jnp.array(0.5), (flow,)))
        for t in (0.0, 1.0, 3.9, 4.0, 5.0)
    ]
    np.testing.assert_allclose(slopes, [0.5, 2.5, 2.5, 0.5, 0.5])
