"""Priors of every kind, and what several of their files ask of them."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

import BayesianJaxModels as bjm


def log_of_exponential(rate):
    return bjm.priors.OnNaturalScale(bjm.priors.Exponential(rate), jnp.exp, jnp.log)


# Every number is one of float32, so that double precision sees the same.
PRIORS = {
    "normal": (bjm.priors.Normal(0.5, 2.0), scipy.stats.norm(0.5, 2.0)),
    "Laplace": (bjm.priors.Laplace(0.5, 2.0), scipy.stats.laplace(0.5, 2.0)),
    "Student t": (bjm.priors.StudentT(4.0, 0.5, 2.0), scipy.stats.t(4.0, 0.5, 2.0)),
    "half-normal": (bjm.priors.HalfNormal(2.0), scipy.stats.halfnorm(scale=2.0)),
    "truncated normal": (
        bjm.priors.TruncatedNormal(0.5, 2.0, high=4.5),
        scipy.stats.truncnorm(-0.25, 2.0, 0.5, 2.0),
    ),
    "normal above 0": (
        bjm.priors.TruncatedNormal(0.5, 2.0),
        scipy.stats.truncnorm(-0.25, np.inf, 0.5, 2.0),
    ),
    "half-Cauchy": (bjm.priors.HalfCauchy(2.0), scipy.stats.halfcauchy(scale=2.0)),
    "log-normal": (
        bjm.priors.LogNormal(0.25, 0.5),
        scipy.stats.lognorm(0.5, scale=np.exp(0.25)),
    ),
    "exponential": (bjm.priors.Exponential(2.0), scipy.stats.expon(scale=0.5)),
    "gamma": (bjm.priors.Gamma(2.5, 2.0), scipy.stats.gamma(2.5, scale=0.5)),
    "gamma of one": (bjm.priors.Gamma(1.0, 2.0), scipy.stats.expon(scale=0.5)),
    "inverse gamma": (
        bjm.priors.InverseGamma(2.5, 2.0),
        scipy.stats.invgamma(2.5, scale=2.0),
    ),
    "uniform": (bjm.priors.Uniform(-1.0, 3.0), scipy.stats.uniform(-1.0, 4.0)),
    "beta": (bjm.priors.Beta(2.5, 1.0), scipy.stats.beta(2.5, 1.0)),
    "log of exponential": (
        log_of_exponential(2.0),
        scipy.stats.loggamma(1.0, loc=-np.log(2.0)),
    ),
}


LOGIT = (jax.nn.sigmoid, jax.scipy.special.logit)


# Of each kind one that has no density, as a draw of its fields may be.
NOWHERE = [
    (bjm.priors.Normal, (np.nan, 1.0)),
    (bjm.priors.Normal, (0.0, 0.0)),
    (bjm.priors.Laplace, (0.0, 0.0)),
    (bjm.priors.StudentT, (np.inf, 0.0, 1.0)),
    (bjm.priors.HalfNormal, (0.0,)),
    (bjm.priors.HalfCauchy, (np.nan,)),
    (bjm.priors.LogNormal, (0.0, np.inf)),
    (bjm.priors.Exponential, (0.0,)),
    (bjm.priors.Gamma, (0.0, 1.0)),
    (bjm.priors.InverseGamma, (1.0, np.nan)),
    (bjm.priors.Uniform, (1.0, 0.0)),
    (bjm.priors.Uniform, (0.0, np.nan)),
    (bjm.priors.Beta, (0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (0.0, 0.0, 0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (np.nan, 1.0, 0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (0.0, 1.0, 1.0, 0.0)),
    (bjm.priors.TruncatedNormal, (0.0, 1.0, np.nan, 1.0)),
]


def agrees_in_single_precision(prior, value, expected):
    density, slope = jax.jit(jax.value_and_grad(prior.log_density))(jnp.float32(value))
    np.testing.assert_allclose(density, expected.logpdf(value), rtol=1e-5)
    assert jnp.isfinite(slope)


def keeps_its_digits(prior, exact, values):
    """Where log gamma functions of a million cancel to half a nat in float32."""
    values = jnp.array(values)
    expected = exact.logpdf(np.asarray(values, np.float64))
    np.testing.assert_allclose(prior.log_density(values), expected, atol=1e-4)
    slopes = jax.vmap(jax.grad(prior.log_density))(values)
    assert np.all(np.isfinite(slopes))
