"""Functions made linear, against what they are made of."""

import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm


def test_linearised_predictions(key):
    """Of a linear function, the function; of another, a normal with J S J^T."""
    model = bjm.GaussianParameter(jnp.array([0.5, -1.0]), jnp.ones(2))
    covariance = jnp.array([[0.5, 0.3], [0.3, 0.4]])
    fit = bjm.JointPosterior.gaussian(model, covariance)

    def curved(drawn):
        return {"y": jnp.exp(drawn.mean[0]) * drawn.mean[1]}

    linear = bjm.Linearised(curved, model)
    draws = bjm.map_posterior(linear, fit, key=key, num_samples=20_000)["y"]
    slope = np.exp(0.5) * np.array([-1.0, 1.0])
    np.testing.assert_allclose(draws.mean(), -np.exp(0.5), atol=0.03)
    np.testing.assert_allclose(draws.var(), slope @ covariance @ slope, rtol=0.05)
    same = bjm.Linearised(lambda m: m.mean @ jnp.array([1.0, 2.0]), model)
    drawn = fit.draw(key)
    np.testing.assert_allclose(same(drawn), drawn.mean @ jnp.array([1.0, 2.0]))
