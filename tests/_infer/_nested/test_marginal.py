"""Estimates of marginal likelihoods: without bias, and the mixture that they draw."""

import jax
import numpy as np
import scipy.stats
from jax import random

from BayesianJaxModels._infer._nested.marginal import DF, Marginal, _lattice
from BayesianJaxModels._model import free_means


def test_estimates_are_without_bias(lines, fit):
    # Given what all share, each subject's likelihood is known: the mass of the fit.
    _, population, _, _ = lines
    marginal = Marginal.around(population, fit.conditional, 8)
    shared = free_means(fit.shared.model)
    normals = fit.conditional.normals(shared)
    exact = np.asarray(normals.log_masses)

    @jax.jit
    @jax.vmap
    def estimates(key):
        return marginal.particles(shared, normals, key).log_likelihoods

    found = np.asarray(estimates(random.split(random.key(0), 2_000)))
    ratios = np.exp(found - exact)
    error = ratios.std(axis=0) / len(ratios) ** 0.5
    assert np.all(error < 0.01)
    assert np.all(abs(ratios.mean(axis=0) - 1) < 4 * error + 1e-3)


def test_the_density_is_that_of_the_mixture(lines, fit):
    _, population, _, _ = lines
    marginal = Marginal.around(population, fit.conditional, 8)
    shared = free_means(fit.shared.model)
    normals = fit.conditional.normals(shared)
    found = marginal.particles(shared, normals, random.key(0))
    white = np.asarray(found.white, np.float64)
    narrow = scipy.stats.multivariate_normal(np.zeros(2)).logpdf(white)
    wide = scipy.stats.multivariate_t(np.zeros(2), 4 * np.eye(2), df=DF).logpdf(white)
    assert np.allclose(found.log_parts[0], narrow + np.log(0.75), atol=1e-4)
    assert np.allclose(found.log_parts[1], wide + np.log(0.25), atol=1e-4)


def test_the_lattice_is_spread_evenly():
    points = _lattice(64, 2)
    counts, _, _ = np.histogram2d(*points.T, bins=4, range=[[0, 1]] * 2)
    assert counts.min() >= 2  # of 4, where random ones leave some without any
    assert counts.max() <= 5
