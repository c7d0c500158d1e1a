import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import BayesianJaxModels as bjm

LIKELIHOOD = bjm.likelihoods.NormalLikelihood(0.5)


def test_the_score_by_prediction_and_scale(x64):
    """`z / scale`, and `(z**2 - 1) / scale`."""
    data, mean, scale = jnp.array([0.25, 3.0]), jnp.array([0.0, 2.0]), 0.5

    def log_prob(mean, scale):
        return bjm.likelihoods.NormalLikelihood(scale).log_prob(mean, data)

    by_mean, by_scale = jax.grad(log_prob, argnums=(0, 1))(mean, scale)
    z = (data - mean) / scale
    np.testing.assert_allclose(by_mean, z / scale, rtol=1e-14)
    np.testing.assert_allclose(by_scale, jnp.sum(z**2 - 1) / scale, rtol=1e-14)


def test_the_maximum_over_a_learnt_scale_is_the_rms_of_the_residuals(x64):
    data = jnp.array([0.3, -0.4, 1.2])
    best = jnp.sqrt(jnp.mean(data**2))

    def log_prob(log_scale):
        noise = bjm.make_parameter(log_scale)
        likelihood = bjm.likelihoods.NormalLikelihood(log_scale=noise)
        return likelihood.log_prob(jnp.zeros(3), data)

    np.testing.assert_allclose(jax.grad(log_prob)(jnp.log(best)), 0, atol=1e-14)
    exact = stats.norm.logpdf(data, 0, best).sum()
    np.testing.assert_allclose(log_prob(jnp.log(best)), exact, rtol=1e-14)


def test_tails_on_either_side_do_not_underflow(x64):
    noise, prediction = {"scale": jnp.full(3, 0.5)}, jnp.zeros(3)
    observation = jnp.array([-30.0, 0.0, 30.0])
    below = LIKELIHOOD.log_cdf(prediction, observation, noise)
    above = LIKELIHOOD.log_survival(prediction, observation, noise)
    np.testing.assert_allclose(below, stats.norm.logcdf([-60, 0, 60]), rtol=1e-12)
    np.testing.assert_allclose(above, stats.norm.logsf([-60, 0, 60]), rtol=1e-12)


def test_draws_have_the_mean_and_the_scale(key):
    prediction = jnp.broadcast_to(jnp.array([1.0, -4.0]), (20_000, 2))
    draws = np.asarray(LIKELIHOOD.sample(key, prediction), float)
    error = 0.5 / 20_000**0.5
    np.testing.assert_allclose(draws.mean(0), [1.0, -4.0], atol=4.5 * error)
    np.testing.assert_allclose(draws.std(0), 0.5, atol=4.5 * error / 2**0.5)
