import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._predict import as_trajectory
from tests._predict.cases import make


def test_arrays_become_draws_of_a_trajectory():
    ys = np.arange(12.0).reshape(3, 4)
    ys[1, 2] = np.nan
    found = as_trajectory({"a": ys, "b": np.ones((3, 4, 2), int)}, ts=[0, 2, 4, 8])
    np.testing.assert_array_equal(found.ts, [0.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(found.succeeded, [True, False, True])
    np.testing.assert_array_equal(found.ys["a"], ys)
    np.testing.assert_array_equal(as_trajectory(ys).ts, np.arange(4.0))
    given = make(np.ones((3, 2), np.float32))
    assert as_trajectory(given) is given


def test_what_is_no_array_of_draws():
    for wrong in (3.0, None, {"a": 1.0}, []):
        with pytest.raises(
            TypeError, match=r"`Trajectory`, a `Prediction` or an array"
        ):
            as_trajectory(wrong)
    shapes = ((3,), (0, 4), (3, 0))
    for wrong in (
        *map(np.zeros, shapes),
        {"a": np.zeros((3, 2)), "b": jnp.zeros((3, 4))},
    ):
        with pytest.raises(ValueError, match=r"shape \(num_draws, T, ...\)"):
            as_trajectory(wrong)
    with pytest.raises(ValueError, match=r"`ts` has shape \(3,\), but .* 4 times"):
        as_trajectory(np.zeros((2, 4)), ts=np.arange(3.0))
    with pytest.raises(ValueError, match="`ts` is for plain arrays"):
        as_trajectory(make(np.ones((3, 2), np.float32)), ts=np.arange(2.0))


def test_arrays_of_a_batch_have_times_of_their_own():
    ys = np.arange(24.0).reshape(2, 3, 4)
    ys[1, 2, 0] = np.nan
    ts = np.arange(12.0).reshape(3, 4)
    found = as_trajectory(ys, ts=ts)
    assert found.ts.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.ts[1], ts)
    np.testing.assert_array_equal(found.succeeded, [[1, 1, 1], [1, 1, 0]])
    with pytest.raises(ValueError, match=r"`ts` has shape \(2, 4\), but the draws"):
        as_trajectory(ys, ts=ts[:2])
