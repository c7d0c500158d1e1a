import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

import BayesianJaxModels as bjm

SCALE = np.array([0.5, 2.0, 1e-150, 1e150])
Z = np.array([-1.5, 30.0, 0.25, -8.0])


def test_the_density_is_exact_where_squares_underflow_and_overflow(x64):
    likelihood = bjm.likelihoods.NormalLikelihood(SCALE)
    found = likelihood.log_prob_each(jnp.zeros(4), Z * SCALE)
    expected = -(Z**2) / 2 - np.log(SCALE) - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_scores_are_those_of_the_residual(x64):
    observation = jnp.array([0.25, -3.0])

    def log_prob(prediction, scale):
        return bjm.likelihoods.NormalLikelihood(scale).log_prob(prediction, observation)

    prediction, scale = jnp.array([1.0, 2.0]), jnp.array([0.5, 4.0])
    of_prediction, of_scale = jax.grad(log_prob, (0, 1))(prediction, scale)
    z = (observation - prediction) / scale
    np.testing.assert_allclose(of_prediction, z / scale, rtol=1e-14)
    np.testing.assert_allclose(of_scale, (z**2 - 1) / scale, rtol=1e-14)


def test_both_tails_are_those_of_scipy(x64):
    likelihood = bjm.likelihoods.NormalLikelihood(2.0)
    z = np.array([-40.0, -3.0, 0.0, 1.0, 40.0])
    args = jnp.ones(5), jnp.asarray(1 + 2 * z), {"scale": jnp.full(5, 2.0)}
    below, above = likelihood.log_cdf(*args), likelihood.log_survival(*args)
    np.testing.assert_allclose(below, scipy.special.log_ndtr(z), rtol=1e-13)
    np.testing.assert_allclose(above, scipy.special.log_ndtr(-z), rtol=1e-13)


def test_draws_are_the_prediction_and_noise_of_the_scale(key):
    prediction = jnp.array([[1.0, -5.0], [100.0, 0.0]])
    scale = np.array([0.5, 3.0])
    found = bjm.likelihoods.NormalLikelihood(scale).sample(key, prediction)
    standard = bjm.likelihoods.NormalLikelihood(1.0).sample(key, jnp.zeros((2, 2)))
    np.testing.assert_allclose(found, prediction + scale * standard, rtol=1e-6)
