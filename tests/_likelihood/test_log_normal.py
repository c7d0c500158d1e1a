import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import BayesianJaxModels as bjm

LIKELIHOOD = bjm.likelihoods.LogNormalLikelihood(0.25)


def test_the_density_is_the_normal_one_of_logarithms_with_its_jacobian(x64):
    data, median = jnp.array([0.5, 8.0, 1e-8]), jnp.array([0.75, 4.0, 2e-8])
    each = LIKELIHOOD.log_prob_each(median, data)
    exact = stats.norm.logpdf(jnp.log(data), jnp.log(median), 0.25) - jnp.log(data)
    np.testing.assert_allclose(each, exact, rtol=1e-14)


def test_a_change_of_unit_moves_it_by_the_logarithm_of_the_unit(x64):
    data, median = jnp.array([0.5, 8.0]), jnp.array([0.75, 4.0])
    moved = LIKELIHOOD.log_prob_each(1e3 * median, 1e3 * data)
    each = LIKELIHOOD.log_prob_each(median, data)
    np.testing.assert_allclose(moved, each - np.log(1e3), rtol=1e-14)


@pytest.mark.parametrize("median", [0.0, -1.0, jnp.inf, jnp.nan])
def test_no_observation_comes_of_a_median_that_is_not_positive(median):
    value, slope = jax.value_and_grad(LIKELIHOOD.log_prob)(jnp.array(median), 1.0)
    assert value == -jnp.inf
    assert slope == 0


@pytest.mark.parametrize("wrong", [0.0, -0.5])
def test_an_observation_that_is_not_positive_is_refused(wrong):
    with pytest.raises(ValueError, match="`observation` must be finite and positive"):
        LIKELIHOOD.log_prob(jnp.ones(2), jnp.array([1.0, wrong]))


def test_all_of_it_is_above_zero(x64):
    """A limit of detection at or below 0 is below every observation."""
    noise, ones = {"scale": jnp.full(3, 0.25)}, jnp.ones(3)
    observation = jnp.array([-1.0, 0.0, 2.0])
    below = LIKELIHOOD.log_cdf(ones, observation, noise)
    above = LIKELIHOOD.log_survival(ones, observation, noise)
    exact = stats.lognorm(0.25)
    np.testing.assert_array_equal(below[:2], -np.inf)
    np.testing.assert_array_equal(above[:2], 0.0)
    np.testing.assert_allclose(below[2], exact.logcdf(2.0), rtol=1e-12)
    np.testing.assert_allclose(above[2], exact.logsf(2.0), rtol=1e-12)
    slope = jax.grad(lambda y: LIKELIHOOD.log_cdf(ones, y, noise)[1])(observation)
    assert np.isfinite(slope).all()


def test_draws_have_the_median_and_the_relative_error(key):
    prediction = jnp.broadcast_to(jnp.array([1e-6, 30.0]), (20_000, 2))
    logs = np.log(np.asarray(LIKELIHOOD.sample(key, prediction), float))
    error = 0.25 / 20_000**0.5
    np.testing.assert_allclose(logs.mean(0), np.log([1e-6, 30.0]), atol=4.5 * error)
    np.testing.assert_allclose(logs.std(0), 0.25, atol=4.5 * error / 2**0.5)
