import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import make_parameter, posterior_trajectories, summarise
from BayesianJaxModels._posterior import DrawsPosterior
from BayesianJaxModels._predict.weighted import (
    effective_sample_size,
    quantiles,
    representatives,
)

TS = jnp.array([0.0, 0.5, 1.0])


class Decay(bjm.Module):
    rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.mean * y


@pytest.fixture
def decay():
    return Decay(make_parameter(1.0))


def test_every_draw_once_with_its_weight(decay, key):
    rates = jnp.array([[0.5], [1.0], [2.0]])
    log_weights = jnp.log(jnp.array([1.0, 6.0, 3.0])) + 300.0
    posterior = DrawsPosterior(decay, rates, log_weights)
    settings = {
        "key": key,
        "num_samples": None,
        "solver": diffrax.Euler(),
        "stepsize_controller": diffrax.ConstantStepSize(),
        "dt0": 0.5,
    }
    weighted = posterior_trajectories(posterior, jnp.ones(1), TS, **settings)
    weights = [0.1, 0.6, 0.3]
    np.testing.assert_allclose(weighted.weights, weights, rtol=1e-5)
    exact = (1 - np.asarray(rates) / 2) ** np.arange(3)
    np.testing.assert_allclose(weighted.ys[..., 0], exact, atol=1e-6)
    mean = summarise(weighted).mean[:, 0]
    np.testing.assert_allclose(mean, np.average(exact, axis=0, weights=weights), 1e-5)
    share = posterior_trajectories(posterior, jnp.ones(1), TS, gather=False, **settings)
    np.testing.assert_array_equal(share.weights, weighted.weights)
    # Whatever is drawn has equal weights, and so have draws without any.
    some = posterior_trajectories(
        posterior, jnp.ones(1), TS, **settings | {"num_samples": 3}
    )
    equal = DrawsPosterior(decay, rates)
    plain = posterior_trajectories(equal, jnp.ones(1), TS, **settings)
    assert some.weights is None
    assert plain.weights is None
    np.testing.assert_array_equal(plain.ys, weighted.ys)
    with pytest.raises(ValueError, match="`num_samples` is None.*is a Decay"):
        posterior_trajectories(decay, jnp.ones(1), TS, **settings)


def test_quantiles_of_equal_weights_are_numpys():
    values = np.random.default_rng(0).normal(size=(23, 2, 3))
    probs = np.array([0.0, 0.025, 0.3, 0.5, 0.9, 1.0])
    desired = np.quantile(values, probs, axis=0)
    np.testing.assert_array_equal(quantiles(values, None, probs), desired)
    equal = quantiles(values, np.full(23, 0.3), probs)
    np.testing.assert_allclose(equal, desired, rtol=1e-12)
    one = quantiles(values[:1], np.ones(1), probs)
    np.testing.assert_array_equal(one, np.repeat(values[:1], 6, axis=0))


def test_effective_sample_size():
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    np.testing.assert_allclose(effective_sample_size(weights), [16 / 6, 1.0, 0.0])


def test_representatives_follow_the_weights():
    np.testing.assert_array_equal(representatives(None, 3, 10), [0, 1, 2])
    weights = np.array([0.0, 5.0, 0.0, 4.0, 1.0])
    np.testing.assert_array_equal(representatives(weights, 5, 10), [1, 3, 4])
    np.testing.assert_array_equal(representatives(weights, 5, 1), [1])
    shown = representatives(np.ones(100), 100, 4)
    np.testing.assert_array_equal(shown, [12, 37, 62, 87])
