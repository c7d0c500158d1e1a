import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels.train import growing_horizon


def test_the_horizon_grows_and_compiles_once():
    traces = []

    @jax.jit
    def horizon(step, ts):
        traces.append(1)
        return growing_horizon(step, 8, ts, initial_share=0.25)

    ts = jnp.linspace(0.0, 2.0, 17)
    for step in (0, 1, 3, 7):
        until = 2.0 * (0.25 + 0.75 * step / 8)
        np.testing.assert_array_equal(horizon(step, ts), ts <= until + 1e-6)
    assert horizon(8, ts).all()
    assert horizon(800, ts).all()
    np.testing.assert_array_equal(horizon(3, -ts), horizon(3, ts))
    late = jnp.append(jnp.zeros(1), jnp.linspace(9.0, 10.0, 16))
    np.testing.assert_array_equal(horizon(0, late), np.arange(17) < 2)
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_times_count_at_the_end(x64, dtype):
    ts = jnp.linspace(0.1, 0.7, 40, dtype=dtype)
    for share in (0.1, 0.3, 0.7):
        assert growing_horizon(1_000, 1_000, ts, initial_share=share).all()


def test_errors():
    ts = jnp.linspace(0.0, 1.0, 5)
    for num_steps, share in ((0, 0.1), (5, 0.0), (5, 1.5)):
        with pytest.raises(ValueError, match="`num_steps` must be at least 1"):
            growing_horizon(0, num_steps, ts, initial_share=share)


def test_shares_of_the_time_by_hand():
    ts = np.linspace(0.0, 8.0, 5)
    for step, wanted in zip((0, 500, 999, 1_000), (2, 3, 4, 5), strict=True):
        found = growing_horizon(step, 1_000, ts)
        np.testing.assert_array_equal(found, np.arange(5) < wanted)
    whole = growing_horizon(0, 10, ts, initial_share=1.0)
    assert whole.all()


def test_times_that_are_none_are_named():
    with pytest.raises(ValueError, match="`ts` must be strictly increasing"):
        growing_horizon(0, 5, np.array([0.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="`ts` must be at least two times"):
        growing_horizon(0, 5, np.zeros(1))
    unsorted = jnp.array([0.0, 2.0, 1.0, 3.0])
    traced = jax.jit(lambda ts: growing_horizon(5, 5, ts))(unsorted)
    np.testing.assert_array_equal(traced, [True, True, False, False])
