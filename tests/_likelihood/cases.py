"""Likelihoods of every kind, with their distributions in SciPy."""

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

# Every number is one of float32, so that double precision sees the same.
MEAN = np.array([[0.5, 2.0], [7.25, 30.0], [400.0, 0.125]])
VALUES = np.array([[0.75, 1.5], [9.0, 22.0], [350.0, 0.25]])
COUNTS = np.array([[0.0, 3.0], [9.0, 22.0], [350.0, 1.0]])
SCALE = np.array([0.5, 2.0])  # one for each observed quantity


def negative_binomial(mean, dispersion):
    return scipy.stats.nbinom(dispersion, dispersion / (dispersion + mean))


CASES = {
    "normal": (
        lambda observe=None: bjm.likelihoods.NormalLikelihood(SCALE, observe),
        lambda mean: scipy.stats.norm(mean, SCALE),
        VALUES,
    ),
    "Student t": (
        lambda observe=None: bjm.likelihoods.StudentTLikelihood(4.0, SCALE, observe),
        lambda mean: scipy.stats.t(4.0, mean, SCALE),
        VALUES,
    ),
    "log-normal": (
        lambda observe=None: bjm.likelihoods.LogNormalLikelihood(SCALE, observe),
        lambda mean: scipy.stats.lognorm(SCALE, scale=mean),
        VALUES,
    ),
    "Poisson": (bjm.likelihoods.PoissonLikelihood, scipy.stats.poisson, COUNTS),
    "negative binomial": (
        lambda observe=None: bjm.likelihoods.NegativeBinomialLikelihood(SCALE, observe),
        lambda mean: negative_binomial(mean, SCALE),
        COUNTS,
    ),
}
every_likelihood = pytest.mark.parametrize("name", CASES)


# What one positive number makes of each likelihood, and whether it may be infinite.
KINDS = {
    "normal": (bjm.likelihoods.NormalLikelihood, False),
    "t of a scale": (
        lambda scale: bjm.likelihoods.StudentTLikelihood(4.0, scale),
        False,
    ),
    "t of a df": (lambda df: bjm.likelihoods.StudentTLikelihood(df, 0.5), True),
    "log-normal": (bjm.likelihoods.LogNormalLikelihood, False),
    "negative binomial": (bjm.likelihoods.NegativeBinomialLikelihood, True),
    "censored": (
        lambda scale: bjm.likelihoods.Censored(
            bjm.likelihoods.NormalLikelihood(scale), 1.0
        ),
        False,
    ),
    "interval": (
        lambda width: bjm.likelihoods.IntervalCensored(
            bjm.likelihoods.NormalLikelihood(1.0), width
        ),
        False,
    ),
    "multivariate": (
        lambda scale: bjm.likelihoods.MultivariateNormalLikelihood(scale, np.eye(3)),
        False,
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Logistic(bjm.likelihoods.AbstractLikelihood):
    """One of a user's own, without what censoring needs."""

    observe = None
    support = bjm.likelihoods.NormalLikelihood.support
    noise = {}

    def log_density(self, prediction, observation, noise):
        return jax.scipy.stats.logistic.logpdf(observation - prediction)

    def draw(self, key, prediction, noise):
        return prediction + jax.random.logistic(key, prediction.shape, prediction.dtype)
