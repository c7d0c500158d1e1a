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


def test_it_is_the_function_and_its_slope_at_the_centre(key, x64):
    """Entry by entry of a pytree; what is known stays as it is at the centre."""
    centre = {
        "a": bjm.make_parameter([0.5, -1.0]),
        "known": bjm.DeterministicParameter(jnp.array(2.0)),
    }

    def fn(drawn):
        x, y = drawn["a"].mean
        return {
            "product": x * y * drawn["known"].mean,
            "curve": jnp.sin(jnp.array([1.0, 2.0]) * x),
        }

    linear = bjm.Linearised(fn, centre)
    for name, value in fn(centre).items():
        np.testing.assert_allclose(linear(centre)[name], value, rtol=1e-15)
    step = np.array([0.7, -0.3])
    moved = bjm.unflatten_means(centre, jnp.array([1.2, -1.3, 9.0]))
    found = linear(moved)
    product = 2 * (0.5 * -1.0 + step @ [-1.0, 0.5])
    np.testing.assert_allclose(found["product"], product, rtol=1e-14)
    twice = np.array([1, 2])
    curve = np.sin(twice * 0.5) + twice * np.cos(twice * 0.5) * step[0]
    np.testing.assert_allclose(found["curve"], curve, rtol=1e-14)
