"""Densities for chains, one program for all of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import stats

import BayesianJaxModels as bjm

D = 10
GAUSSIAN, LOG_GAMMA, TWO_MODES, FUNNEL, GAMMA, HALF_NORMAL, TRAP, NEVER = range(8)
ROTATION = stats.ortho_group(D, seed=1).rvs()
COVARIANCE = (ROTATION * np.geomspace(1e-2, 1e2, D)) @ ROTATION.T
CENTRE = np.linspace(-3.0, 3.0, D)
SHAPE = 0.4  # of the log-gamma distribution
traces = []


class Target(eqx.Module):
    """Several densities of ten entries in one, which is compiled once."""

    kind: jax.Array
    centre: jax.Array
    factor: jax.Array

    def __call__(self, drawn):
        traces.append(1)
        x = drawn.x.mean
        first, rest = x[0], -jnp.sum(x[1:] ** 2) / 2

        def gaussian():
            return -jnp.sum(jnp.matmul(self.factor, x - self.centre) ** 2) / 2

        def log_gamma():
            return SHAPE * first - jnp.exp(first) + rest

        def two_modes():
            return jnp.logaddexp(-2 * (first - 6) ** 2, -2 * (first + 6) ** 2) + rest

        def funnel():
            widths = jnp.exp(first / 2)
            return -(first**2) / 18 + rest / widths**2 - (D - 1) * jnp.log(widths)

        def gamma():
            return jnp.log(first) - first + rest

        def half_normal():
            return jnp.where(first > 0, -(first**2) / 2, -jnp.inf) + rest

        def trap():  # finite everywhere, without a gradient below zero
            trapped = jnp.sqrt(jnp.maximum(first, 0))
            return -(trapped**4) / 2 + rest

        def never():
            return jnp.full_like(first, jnp.nan)

        branches = [gaussian, log_gamma, two_modes, funnel, gamma, half_normal, trap]
        return lax.switch(self.kind, [*branches, never])


class Model(bjm.Module):
    x: bjm.AbstractParameter


def target(kind, dtype=jnp.float32):
    factor = np.linalg.inv(np.linalg.cholesky(COVARIANCE))
    arrays = jnp.asarray(CENTRE, dtype), jnp.asarray(factor, dtype)
    return Target(jnp.asarray(kind, jnp.int32), *arrays)


def start(mean=0.0, stdv=1.0, dtype=jnp.float32):
    """Entry 0 as given, the others standard normal."""
    mean = jnp.zeros(D, dtype).at[0].set(mean)
    stdv = jnp.ones(D, dtype).at[0].set(stdv)
    return Model(bjm.GaussianParameter(mean, jnp.sqrt(stdv - 1e-4)))


PRIOR = bjm.Prior(default=bjm.priors.Normal(0.0, 5.0))


def normal_draws(covariance, seed=0):
    factor = np.linalg.cholesky(covariance)
    return np.random.default_rng(seed).normal(size=(4, 500, len(factor))) @ factor.T
