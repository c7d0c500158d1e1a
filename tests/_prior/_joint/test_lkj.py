"""The prior of correlations: a power of the determinant, and a density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels.priors import LKJ


@pytest.mark.parametrize("concentration", [1.0, 2.5])
def test_lkj_is_a_power_of_the_determinant(concentration, x64):
    # Up to a constant, with the slopes of the matrix by the partial correlations.
    prior, rng = LKJ(concentration), np.random.default_rng(0)

    def below(partials):
        factor = bjm.correlation_factor(partials)
        return (factor @ factor.T)[jnp.tril_indices(3, -1)]

    differences = []
    for partials in rng.uniform(-0.9, 0.9, (5, 3)):
        factor = np.asarray(bjm.correlation_factor(jnp.asarray(partials)))
        log_determinant = 2 * np.log(np.diagonal(factor)).sum()
        slopes = np.linalg.slogdet(jax.jacfwd(below)(jnp.asarray(partials)))[1]
        found = float(prior.log_density(jnp.asarray(partials)).sum())
        differences.append(found - (concentration - 1) * log_determinant - slopes)
    assert np.allclose(differences, differences[0])


def test_lkj_of_one_is_a_density(x64):
    grid = jnp.linspace(-1, 1, 4_001)[1:-1]
    density = jnp.exp(jax.vmap(lambda r: LKJ(3.0).log_density(r[None])[0])(grid))
    assert np.isclose(np.trapezoid(density, grid), 1, atol=1e-4)
    drawn = LKJ(3.0).sample(random.key(0), jnp.zeros(6))
    assert np.all(abs(drawn) < 1)


def test_of_a_parameter_with_ends():
    partials = bjm.make_parameter(np.zeros(3), support=(-1.0, 1.0))
    found = bjm.log_prior({"r": partials}, bjm.Prior(default=LKJ(2.0)))
    assert np.isfinite(found)
