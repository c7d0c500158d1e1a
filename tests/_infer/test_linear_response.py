"""Linear response, where the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import BayesianJaxModels as bjm
from BayesianJaxModels._infer.structured import sobol_noise
from tests._infer.targets import Gaussian, correlated
from tests.registry import LogisticParameter


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_response_gives_a_normal_its_covariance(dtype, x64):
    """From the mean-field optimum, and from a fit that has not got there yet."""
    density, model = correlated(4, dtype)
    precision = np.linalg.inv(np.asarray(density.covariance, float))
    widths = np.diagonal(precision) ** -0.5
    for shift, factor in ((0.0, 1.0), (0.4, 1.5)):
        fit = {
            name: bjm.GaussianParameter(
                jnp.asarray(np.asarray(density.mean)[s] + shift * widths[s], dtype),
                jnp.asarray((factor * widths[s] - 1e-4) ** 0.5, dtype),
            )
            for name, s in (("a", slice(0, 1)), ("b", slice(1, 4)))
        }
        found = bjm.linear_response(density, fit)
        rtol, off = (5e-6, 1e-5) if dtype == "float32" else (1e-10, 1e-11)
        np.testing.assert_allclose(found.covariance, density.covariance, rtol=rtol)
        z = (np.asarray(found.mean) - np.asarray(density.mean)) / widths
        np.testing.assert_allclose(z, 0, atol=off)


def test_linear_response_from_any_moments(x64):
    """Whatever the fit is made of, it is only where the search starts."""
    mean = np.array([1.0, 2.0])
    density = Gaussian(jnp.asarray(mean), jnp.array([[1.0, 0.5], [0.5, 2.0]]))
    logistic = LogisticParameter(jnp.asarray(mean + 0.1), jnp.full(2, -1.0))
    joint = bjm.JointPosterior.gaussian(logistic, density.covariance)
    for fit in (
        logistic,
        bjm.LaplacianParameter(jnp.asarray(mean + 0.1), jnp.full(2, 0.7)),
        joint,
        bjm.MixturePosterior([joint, logistic]),
    ):
        found = bjm.linear_response(density, fit)
        np.testing.assert_allclose(found.covariance, density.covariance, rtol=1e-12)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    with pytest.raises(NotImplementedError, match="moments of a Doubled"):
        bjm.linear_response(density, Doubled(logistic))


class Doubled(bjm.AbstractPosterior):
    model: bjm.AbstractParameter

    def draw(self, key):
        return self.model


def test_linear_response_tells_the_noise_of_a_solver():
    precision = jnp.array([[100.0, 50.0], [50.0, 100.0]])
    mixed = jnp.array([[1.0, 0.7], [0.4, 1.0]])

    def rough(height):
        def log_density(drawn):
            x = drawn.mean
            ripple = height * jnp.sum(jnp.sin(1e4 * (mixed @ x)))
            return -0.5 * x @ precision @ x + ripple

        return log_density

    fit = bjm.GaussianParameter(jnp.zeros(2), jnp.full(2, 0.1**0.5))
    found = bjm.linear_response(rough(1e-6), fit)
    exact = np.linalg.inv(precision)
    np.testing.assert_allclose(found.covariance, exact, rtol=2e-3)
    with (
        pytest.warns(UserWarning, match="not at the maximum of the ELBO"),
        pytest.warns(UserWarning, match="covariance is rough. The log density is not"),
    ):
        bjm.linear_response(rough(2e-4), fit)
    with pytest.raises(ValueError, match=r"Hessian.*not smooth.*rtol=1e-6"):
        bjm.linear_response(rough(2e-3), fit)


def test_linear_response_names_mistakes():
    density, model = correlated(4)
    with pytest.raises(ValueError, match="above the number of entries, 4, .* got 4"):
        bjm.linear_response(density, model, num_samples=4)
    flat = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))
    with pytest.raises(ValueError, match="Train the mean-field model longer"):
        bjm.linear_response(lambda m: jnp.sum(m.mean**2), flat)


def test_the_covariance_is_how_the_optimum_answers_to_a_tilt(x64):
    """Of a log-gamma density, by maximising the ELBO of the same draws under tilts."""

    def log_density(drawn):
        return jnp.sum(4.0 * drawn.mean - jnp.exp(drawn.mean))

    eps = np.asarray(sobol_noise(jax.random.key(0), 64, 1, jnp.float64))[:, 0]

    def optimum(tilt):
        def slopes(at):
            mean, log_width = at
            slope = 4 + tilt - np.exp(mean + np.exp(log_width) * eps)
            return [slope.mean(), np.mean(slope * np.exp(log_width) * eps) + 1]

        found = scipy.optimize.root(slopes, [np.log(4), -np.log(2)], tol=1e-13)
        assert found.success
        return found.x

    mean, log_width = optimum(0.0)
    answer = (optimum(1e-3)[0] - optimum(-1e-3)[0]) / 2e-3
    # One that the variational width is not.
    assert answer / np.exp(2 * log_width) > 1.02
    fit = bjm.make_parameter(jnp.array([1.3]), stdv=jnp.array([0.6]))
    found = bjm.linear_response(log_density, fit)
    # A difference over a tenth of a width, and the last step, are off by a thousandth.
    np.testing.assert_allclose(found.covariance, [[answer]], rtol=1e-3)
    np.testing.assert_allclose(found.mean, [mean], atol=1e-3 * np.exp(log_width))


def test_a_density_that_is_not_finite_at_a_draw_is_told():
    fit = bjm.make_parameter([0.5, 0.5], stdv=1.0)
    with pytest.raises(ValueError, match="ELBO must be finite and have a maximum near"):
        bjm.linear_response(lambda drawn: jnp.sum(jnp.log(drawn.mean)), fit)


@pytest.mark.parametrize("width", [1e-2, 1e-4])
def test_a_width_far_below_its_value_in_single_precision(width):
    """The points of differences are rounded there by a hundredth of a step."""
    start = bjm.make_parameter(jnp.full(2, 3.0), stdv=2 * width)
    found = bjm.linear_response(
        lambda drawn: -0.5 * jnp.sum(((drawn.mean - 3.0) / width) ** 2), start
    )
    np.testing.assert_allclose(found.stdv, width, rtol=1e-6)
