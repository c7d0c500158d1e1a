"""Log densities with known answers."""

import equinox as eqx
import jax
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


class TwoModes(eqx.Module):
    """Two normal distributions of independent entries, times `exp(1.5)`."""

    weights: Float[Array, "2"]
    means: Float[Array, "2 d"]
    stdvs: Float[Array, "2 d"]

    def __call__(self, drawn):
        each = norm.logpdf(bjm.flatten_means(drawn), self.means, self.stdvs).sum(1)
        return jax.scipy.special.logsumexp(each, b=self.weights) + 1.5

    def moments(self):
        weights, means, stdvs = map(np.asarray, (self.weights, self.means, self.stdvs))
        mean = weights @ means
        return mean, np.sqrt(weights @ (stdvs**2 + means**2) - mean**2)

    def fits(self, model, *, wider=1.0):
        """A normal distribution at each of them."""
        return [
            bjm.JointPosterior.gaussian(
                bjm.unflatten_means(model, mean), jnp.diag((wider * stdv) ** 2)
            )
            for mean, stdv in zip(self.means, self.stdvs, strict=True)
        ]


class Johnson(eqx.Module):
    """`x` and `z` are standard normal, with correlation .6; `y` stretches `z`.

    `y` has the SU distribution of Johnson 1949, Biometrika 36.
    """

    gamma: Float[Array, ""]
    delta: Float[Array, ""]

    def __call__(self, drawn):
        x, y = drawn.mean
        z = self.gamma + self.delta * jnp.arcsinh(y)
        slope = self.delta / jnp.sqrt(1 + y**2)
        return norm.logpdf(x) + norm.logpdf(z, 0.6 * x, 0.8) + jnp.log(slope)

    def moments(self):
        w, ratio = np.exp(float(self.delta) ** -2), float(self.gamma / self.delta)
        variance = (w - 1) * (w * np.cosh(2 * ratio) + 1) / 2
        mean = [0.0, -np.sqrt(w) * np.sinh(ratio)]
        return np.array(mean), np.array([1.0, np.sqrt(variance)])


MM_TIMES = np.array([0.5, 1, 2, 3, 4, 6, 8])  # h
MM_DOSE, MM_TRUTH, MM_NOISE = 8.0, (2.0, 3.0), 0.15  # mg/L; mg/L/h and mg/L


def michaelis_menten(drawn):
    """Elimination that saturates, `C' = -v C / (k + C)`, seen with log-normal noise.

    Positive `v` and `k` on their natural scale, with log-normal priors. The curve is
    `k W(exp(u))` with `u = log(C0 / k) + (C0 - v t) / k` and the function of Lambert.
    """
    return _michaelis_menten(drawn.mean, jnp)


def michaelis_menten_moments():
    """Means and standard deviations by quadrature."""
    grids = np.linspace(0.01, 12, 600), np.linspace(0.01, 40, 800)
    v, k = np.meshgrid(*grids, indexing="ij")
    density = _michaelis_menten(np.stack([v, k])[..., None], np)
    weights = np.exp(density - density.max())
    weights /= weights.sum()
    mean = np.array([np.sum(weights * x) for x in (v, k)])
    squares = np.array([np.sum(weights * x**2) for x in (v, k)])
    return mean, np.sqrt(squares - mean**2)


def _michaelis_menten(rates, np_):
    noise = np.random.default_rng(1).normal(size=len(MM_TIMES))
    data = _log_curve(*MM_TRUTH, np) + MM_NOISE * noise
    safe = np_.where(rates > 0, rates, 1.0)
    v, k = safe
    residuals = (_log_curve(v, k, np_) - data) / MM_NOISE
    log_rates = np_.log(safe)
    prior = -((log_rates - np.log(2.0)) ** 2) / 2 - log_rates
    value = -(residuals**2).sum(-1) / 2 + prior.sum(0).reshape(residuals.shape[:-1])
    return np_.where((rates > 0).all(0).reshape(value.shape), value, -np.inf)


def _log_curve(v, k, np_):
    u = np_.log(MM_DOSE / k) + (MM_DOSE - v * MM_TIMES) / k
    # Newton's steps for `l + exp(l) = u`, the logarithm of W(exp(u)).
    log_w = np_.where(u > 1, np_.log(np_.where(u > 1, u, 1.0)), u - 1)
    for _ in range(6):
        w = np_.exp(log_w)
        log_w = log_w - (log_w + w - u) / (1 + w)
    return np_.log(k) + log_w


class Population(eqx.Module):
    """Two populations of individuals, with a mean and a log width each.

    Attributes:
        data: One noisy number of each individual.
        noise: Its standard deviation. Where it is large, the width may be next to
            nothing, and the posterior is a funnel.
    """

    data: Float[Array, "2 n"]
    noise: Float[Array, ""]

    def __call__(self, drawn):
        centre, log_width = drawn["centre"].mean, drawn["log_width"].mean
        each = drawn["each"].mean
        width = jnp.exp(log_width)
        log_prior = norm.logpdf(centre, 0.0, 2.0) + norm.logpdf(log_width)
        log_each = norm.logpdf(each, centre[:, None], width[:, None])
        log_data = norm.logpdf(self.data, each, self.noise)
        return log_prior.sum() + log_each.sum() + log_data.sum()

    def model(self):
        """A rough start, as one would write it."""
        data, noise = np.asarray(self.data), float(self.noise)
        shrunk = 1 / (1 + noise**2)
        centre = data.mean(1)
        each = centre[:, None] + shrunk * (data - centre[:, None])

        def raw(stdv, like):
            return jnp.full(like.shape, np.sqrt(stdv - 1e-4))

        return {
            "centre": bjm.GaussianParameter(jnp.asarray(centre), raw(0.3, centre)),
            "each": bjm.GaussianParameter(
                jnp.asarray(each), raw(noise * shrunk**0.5, each)
            ),
            "log_width": bjm.GaussianParameter(jnp.zeros(2), raw(0.3, centre)),
        }

    def moments(self):
        """Of the two log widths, by quadrature: all else is normal given them."""
        grid = np.linspace(-9, 5, 4_001)
        data, variance = (
            np.asarray(self.data),
            np.exp(2 * grid) + float(self.noise) ** 2,
        )
        n = data.shape[1]
        precision = 1 / 4 + n / variance
        log = -(grid**2) / 2 - (np.log(precision) + n * np.log(variance)) / 2
        fit = (data.sum(1)[:, None] / variance) ** 2 / precision
        log = log - ((data**2).sum(1)[:, None] / variance - fit) / 2
        weights = np.exp(log - log.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        mean = weights @ grid
        return mean, np.sqrt(weights @ grid**2 - mean**2)
