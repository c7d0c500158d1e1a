"""Log densities with known answers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import multivariate_normal, norm
from jaxtyping import Array, Float

import BayesianJaxModels as bjm


class Gaussian(eqx.Module):
    """A multivariate normal density over all entries of a model."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]

    def __call__(self, drawn):
        return multivariate_normal.logpdf(
            bjm.flatten_means(drawn), self.mean, self.covariance
        )


def correlated(d=4, dtype=None):
    """Widths from 1e-3 to 10, correlations of .9, and a model to fit to them."""
    mean = jnp.asarray(np.linspace(-1, 2, d), dtype)
    widths = np.logspace(-3, 1, d)
    correlation = 0.9 * np.ones((d, d)) + 0.1 * np.eye(d)
    covariance = jnp.asarray(correlation * np.outer(widths, widths), dtype)
    model = {
        "a": bjm.GaussianParameter(mean[:1], jnp.full(1, 0.1, mean.dtype)),
        "b": bjm.GaussianParameter(mean[1:], jnp.full(d - 1, 0.1, mean.dtype)),
    }
    return Gaussian(mean, covariance), model


NOISE = 0.3
# Of `x` and of `y`, the square of a standard normal number plus noise.
BANANA_MEAN = np.array([0.0, 1.0])
BANANA_STDV = np.array([1.0, (2 + NOISE**2) ** 0.5])
BANANA_SKEWNESS = 8 / (2 + NOISE**2) ** 1.5  # of `y`, 2.65


def banana(drawn):
    """`x ~ N(0, 1)` and `y ~ N(x**2, NOISE**2)`."""
    x, y = drawn.mean
    return norm.logpdf(x) + norm.logpdf(y, x**2, NOISE)


def banana_model(dtype=None):
    return bjm.GaussianParameter(jnp.zeros(2, dtype), jnp.full(2, 0.5, dtype))
