import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(
        bjm.priors.Normal(0.0, 1e-25), 2e-25, scipy.stats.norm(0.0, 1e-25)
    )


def test_a_width_that_is_none_is_named():
    for width in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"`sd` must be positive, but got {width}"):
            bjm.priors.Normal(0.0, width)


def test_the_density_is_exact_where_squares_underflow_and_overflow(x64):
    sd, z = np.array([1e-300, 1e-160, 1.0, 1e160, 1e300]), 1.5
    found = bjm.priors.Normal(0.0, sd).log_density(jnp.asarray(z * sd))
    expected = -(z**2) / 2 - np.log(sd) - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_mean_log_density_takes_two_moments(x64):
    """By Gauss's and Hermite's rule, exact for a square; and of the prior itself."""
    prior = bjm.priors.Normal(np.array([0.5, -1.0]), np.array([2.0, 0.25]))
    mean, stdv = jnp.array([0.0, -1.0]), jnp.array([0.5, 0.25])
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    densities = prior.log_density(mean + stdv * nodes[:, None])
    expected = weights @ densities / weights.sum()
    np.testing.assert_allclose(prior.mean_log_density(mean, stdv), expected, rtol=1e-13)
    entropy = np.log(2 * np.pi * np.e * prior.sd**2) / 2
    of_itself = prior.mean_log_density(prior.mean, prior.sd)
    np.testing.assert_allclose(of_itself, -entropy, rtol=1e-14)


def test_divergences_have_their_closed_forms(x64):
    prior = bjm.priors.Normal(np.array([0.5, -1.0]), 2.0)
    q = bjm.GaussianParameter(jnp.array([0.0, 1.0]), jnp.array([0.5, 0.25]))
    ratio, apart = q.stdv / 2.0, (q.mean - prior.mean) / 2.0
    expected = np.sum((ratio**2 + apart**2 - 1) / 2 - np.log(ratio))
    np.testing.assert_allclose(prior.kl_from(q), expected, rtol=1e-13)
    of_laplacian = bjm.LaplacianParameter(q.mean, q.raw_stdv)
    cross = -np.sum(prior.mean_log_density(of_laplacian.mean, of_laplacian.stdv))
    expected = cross - np.sum(1 + np.log(2 * of_laplacian.scale))
    np.testing.assert_allclose(prior.kl_from(of_laplacian), expected, rtol=1e-13)
    with pytest.raises(NotImplementedError, match="of a DeterministicParameter from a"):
        prior.kl_from(bjm.DeterministicParameter(jnp.zeros(2)))


def test_draws_are_standard_ones_moved(key):
    like = jnp.zeros((3, 2))
    standard = bjm.priors.Normal().sample(key, like)
    moved = bjm.priors.Normal(np.array([1.0, -5.0]), np.array([2.0, 0.5])).sample(
        key, like
    )
    expected = np.array([1.0, -5.0]) + np.array([2.0, 0.5]) * np.asarray(standard)
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
