"""A regression whose posterior is known: a line through twenty points."""

import jax.numpy as jnp
import numpy as np
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors

X = np.stack([np.ones(20), np.linspace(-1.0, 1.0, 20)], axis=1)
DATA = X @ [0.5, 2.0] + 0.3 * np.random.default_rng(0).normal(size=20)
SD, WIDTH = 0.3, 2.0
PRECISION = X.T @ X / SD**2 + np.eye(2) / WIDTH**2
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ DATA / SD**2


def line(drawn):
    return jnp.asarray(X, jnp.float32) @ drawn.value


PROBLEM = bjm.Problem(
    line,
    likelihoods.NormalLikelihood(SD),
    DATA,
    prior=bjm.Prior(default=priors.Normal(0.0, WIDTH)),
)
MODEL = bjm.make_parameter([0.0, 0.0])
KEY = random.key(0)


def assert_exact(posterior):
    stdv = np.sqrt(np.diag(COVARIANCE))
    z = (bjm.flatten_means(posterior) - MEAN) / stdv
    np.testing.assert_allclose(z, 0, atol=0.05)
    np.testing.assert_allclose(bjm.flatten_stdvs(posterior) / stdv, 1, atol=0.04)
