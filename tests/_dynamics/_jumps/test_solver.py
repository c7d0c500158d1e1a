"""Where a step begins with a jump."""

import jax.numpy as jnp
import numpy as np

from BayesianJaxModels import Doses, Jumps
from BayesianJaxModels._dynamics._jumps import add_slopes, jump_now, jump_where_saved
from BayesianJaxModels._dynamics._jumps.solver import _is_just_before, as_never
from BayesianJaxModels._dynamics.clock import UsersTime

TIME = UsersTime(jnp.array(0.0), None)


def test_a_step_after_a_jump_begins_one_number_after_it():
    times = jnp.array([1.0, 1.0 + 1e-3, jnp.nan])
    after = jnp.nextafter(times[0], jnp.inf)
    np.testing.assert_array_equal(_is_just_before(times, after), [True, False, False])
    before = jnp.nextafter(times[0], -jnp.inf)
    assert not _is_just_before(times, before).any()
    np.testing.assert_array_equal(as_never(times), [*times[:2], np.inf])


def test_saved_times_have_what_happens_there_or_not():
    jumps = (Doses([0.0, 2.0], 5.0), Doses(3.0, 1.0, saved="after"))
    ts = jnp.array([0.0, 1.0, 2.0, 3.0])
    ys = jnp.array([5.0, 5.0, 5.0, 10.0])
    saved = jump_where_saved(ts, ys, jnp.array(0.0), jumps, None, TIME)
    np.testing.assert_array_equal(saved, [0.0, 5.0, 5.0, 11.0])


def test_several_things_happen_in_their_order():
    jumps = (Doses(1.0, 5.0), Jumps(1.0, lambda t, y, args: args * y + t))

    def is_now(times):
        return times == 1

    assert jump_now(is_now, jnp.array(1.0), jumps, 2.0, TIME, None) == 13.0
    # Known times have no derivative, whatever the slope is.
    assert jump_now(is_now, jnp.array(1.0), jumps, 2.0, TIME, lambda y: y) == 13.0


def test_infusions_add_to_the_derivative():
    flow = Doses([1.0, 5.0], [6.0, 1.0], duration=[3.0, 0.0])
    slopes = [
        float(add_slopes(jnp.array(t), 0.0, jnp.array(0.5), (flow,)))
        for t in (0.0, 1.0, 3.9, 4.0, 5.0)
    ]
    np.testing.assert_allclose(slopes, [0.5, 2.5, 2.5, 0.5, 0.5])
