"""The posterior of nested normal distributions: draws, density and words."""

import jax
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm


def test_draws_have_the_exact_moments(lines, fit):
    mean, stdv, _ = lines[-1]
    draws = bjm.map_posterior(
        bjm.flatten_means, fit, key=random.key(1), num_samples=4_000
    )
    draws = np.asarray(draws)
    assert np.all(abs(draws.mean(axis=0) - mean) < 0.08 * stdv)
    assert np.allclose(draws.std(axis=0), stdv, rtol=0.06)


def test_density_is_that_of_the_joint(lines, fit):
    # Where all is normal, the posterior's density is the joint one over the evidence.
    _, population, _, (_, _, log_evidence) = lines

    @jax.jit
    def densities(key):
        drawn = fit.draw(key)
        return fit.log_prob(drawn), population(drawn)

    for seed in range(3):
        found, joint = densities(random.key(seed))
        assert np.allclose(found, joint - log_evidence, atol=2e-3)


def test_says_what_it_is(fit):
    assert repr(fit).startswith("NestedPosterior: 2 entries that all share, 2 effects")
    with pytest.raises(TypeError, match="NestedPosterior"):
        bjm.get_parameters(fit)
