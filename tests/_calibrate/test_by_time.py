"""Quantiles by time, against NumPy."""

import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._calibrate import quantiles_by_time
from BayesianJaxModels._predict import Prediction

TS = np.array([0.0, 1.0, 2.0, 3.0])
RNG = np.random.default_rng(0)


def prediction(**changes):
    """Five subjects at four times, of which some do not count."""
    drawn = RNG.normal(size=(50, 5, 4))
    observed = RNG.normal(size=(5, 4))
    mask = np.ones((5, 4), bool)
    mask[2, 3] = False
    given = {
        "states": drawn,
        "observables": drawn,
        "observations": drawn,
        "drawn": None,
        "ts": np.tile(TS, (5, 1)),
        "observed": np.where(mask, observed, np.nan),
        "mask": mask,
    }
    return Prediction(**(given | changes))


def test_quantiles_of_each_bin():
    whole = prediction()
    found = quantiles_by_time(whole, [0.0, 1.5, 4.0], (0.1, 0.5))
    assert found.counts.tolist() == [10, 9]
    assert found.centres.tolist() == [0.5, 2.0]
    early = whole.observed[:, :2]
    assert np.allclose(found.observed[:, 0], np.quantile(early, [0.1, 0.5]))
    drawn = whole.observations[:, :, :2].reshape(50, -1)
    exact = np.quantile(drawn, [0.1, 0.5], axis=1).T
    assert np.allclose(found.simulated[:, :, 0], exact)
    low, high = found.band(0.8)
    assert low.shape == (2, 2)
    assert np.allclose(high[:, 0], np.quantile(exact, 0.9, axis=0), atol=0.1)


def test_bins_by_number_hold_about_as_many():
    ts = np.sort(RNG.uniform(size=(5, 4)), axis=1)
    found = quantiles_by_time(prediction(ts=ts), 3, (0.5,))
    assert found.counts.sum() == 19
    assert np.ptp(found.counts) <= 1


def test_what_cannot_be_binned_is_said():
    with pytest.raises(ValueError, match="one series with data beside it"):
        quantiles_by_time(prediction(observed=None), 2, (0.5,))
    with pytest.raises(ValueError, match="`prediction` has no times"):
        quantiles_by_time(prediction(ts=None), 2, (0.5,))
    with pytest.raises(ValueError, match="A bin of time has no data"):
        quantiles_by_time(prediction(), [0.0, 0.2, 0.4, 4.0], (0.5,))
    with pytest.raises(ValueError, match="from 0 to 3, beyond the edges of `bins`"):
        quantiles_by_time(prediction(), [0.5, 4.0], (0.5,))
    states = np.zeros((50, 5, 4, 2))
    of_states = {name: states for name in ("states", "observables", "observations")}
    vectors = prediction(**of_states, observed=states[0], mask=None)
    with pytest.raises(ValueError, match="There must be one number at each time"):
        quantiles_by_time(vectors, 2, (0.5,))


def test_failed_draws_are_left_out(key):
    drawn = np.array(prediction().observations)
    drawn[3] = np.nan
    whole = prediction(observations=drawn, observables=drawn)
    assert quantiles_by_time(whole, 2, (0.5,)).simulated.shape == (49, 1, 2)
    assert jax.tree.leaves(whole)
    assert isinstance(whole, bjm.Prediction)
