import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import Prediction, summarise
from BayesianJaxModels._predict import series_of
from tests._predict.cases import make


def test_of_draws_that_an_event_ended_observables_may_be_missing():
    ys = np.ones((3, 4), np.float32)
    ys[1, 2:] = np.nan
    ended, failed = np.array([False, True, False]), np.array([False, False, True])
    states = make(ys, failed, ended)
    given = jnp.asarray(ys)
    found = Prediction(states, given, 2 * given, None, ts=np.asarray(states.ts))
    np.testing.assert_array_equal(found.succeeded, [True, True, False])
    noisy = summarise(found, of="observations")
    np.testing.assert_array_equal(noisy.num_used, [2, 2, 1, 1])
    np.testing.assert_array_equal(noisy.mean, [2.0] * 4)


def test_parts_and_times_of_a_prediction():
    ys = jnp.ones((3, 2))
    found = Prediction(ys, ys, ys, None, ts=np.array([1.0, 5.0]))
    np.testing.assert_array_equal(series_of(found, "states").ts, [1.0, 5.0])
    with pytest.raises(ValueError, match="`of` must be one of .*'noise'"):
        summarise(found, of="noise")
    with pytest.raises(ValueError, match="`ts` is for plain arrays"):
        summarise(found, ts=np.arange(2.0))
    with pytest.raises(ValueError, match="`of` picks a part of a `Prediction`"):
        summarise(np.ones((3, 2)), of="states")
