import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

from .cases import LOGIT

LOG_OF_HALF_NORMAL = bjm.priors.OnNaturalScale(
    bjm.priors.HalfNormal(2.0), jnp.exp, jnp.log
)
LOG_OF_LOG_NORMAL = bjm.priors.OnNaturalScale(
    bjm.priors.LogNormal(0.25, 0.5), jnp.exp, jnp.log
)


def test_a_density_on_another_scale_integrates_to_one(x64):
    x = jnp.linspace(-25.0, 5.0, 30_001)
    mass = jnp.trapezoid(jnp.exp(LOG_OF_HALF_NORMAL.log_density(x)), x)
    np.testing.assert_allclose(mass, 1, rtol=1e-9)
    # The logarithm of what is log-normal is normal.
    expected = scipy.stats.norm(0.25, 0.5).logpdf(x)
    np.testing.assert_allclose(LOG_OF_LOG_NORMAL.log_density(x), expected, rtol=1e-12)


@pytest.mark.parametrize("prior", [LOG_OF_HALF_NORMAL, LOG_OF_LOG_NORMAL])
@pytest.mark.parametrize("differentiate", [jax.grad, jax.jacfwd])
def test_overflow_of_the_natural_scale_is_outside_the_support(prior, differentiate):
    far = jnp.float32(200.0)
    density, slope = jax.jit(
        lambda x: (prior.log_density(x), differentiate(prior.log_density)(x))
    )(far)
    assert (density, slope) == (-jnp.inf, 0)


def test_priors_of_shares_and_of_small_numbers_on_other_scales(x64):
    """A logit of a beta number, a logarithm of a gamma number: densities of mass 1."""
    x = jnp.linspace(-60.0, 60.0, 20_001)
    for prior in (
        bjm.priors.OnNaturalScale(bjm.priors.Beta(0.5, 3.0), *LOGIT),
        bjm.priors.OnNaturalScale(bjm.priors.Gamma(0.5, 3.0), jnp.exp, jnp.log),
        bjm.priors.OnNaturalScale(bjm.priors.InverseGamma(2.0, 3.0), jnp.exp, jnp.log),
    ):
        mass = jnp.trapezoid(jnp.exp(prior.log_density(x)), x)
        np.testing.assert_allclose(mass, 1, rtol=1e-9)


def test_a_scale_that_falls_mirrors_density_and_draws(key, x64):
    gamma = bjm.priors.Gamma(2.5, 3.0)
    mirrored = bjm.priors.OnNaturalScale(gamma, jnp.negative, jnp.negative)
    x = jnp.array([-2.0, -0.5, 0.0, 1.0])
    np.testing.assert_allclose(mirrored.log_density(x), gamma.log_density(-x))
    draws = mirrored.sample(key, jnp.zeros(50))
    np.testing.assert_array_equal(draws, -gamma.sample(key, jnp.zeros(50)))


def test_a_cube_has_the_density_of_its_change_of_variables(x64):
    """Where its slope is none there is no density, and no gradient either."""
    prior = bjm.priors.OnNaturalScale(
        bjm.priors.Normal(0.5, 2.0), lambda x: x**3, jnp.cbrt
    )
    x = jnp.array([-1.5, 0.25, 2.0])
    expected = scipy.stats.norm(0.5, 2.0).logpdf(x**3) + np.log(3 * x**2)
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-13)
    slopes = jax.vmap(jax.grad(prior.log_density))(x)
    expected = -(x**3 - 0.5) / 4 * 3 * x**2 + 2 / x
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)
    at_zero = jax.value_and_grad(prior.log_density)(jnp.zeros(()))
    assert at_zero == (-np.inf, 0)


def test_one_scale_on_another_is_their_composition(x64):
    inner = bjm.priors.OnNaturalScale(bjm.priors.Beta(2.0, 3.0), jnp.exp, jnp.log)
    both = bjm.priors.OnNaturalScale(inner, jnp.negative, jnp.negative)
    x = jnp.array([0.25, 1.0, 3.0])
    expected = scipy.stats.beta(2.0, 3.0).logpdf(np.exp(-x)) - x
    np.testing.assert_allclose(both.log_density(x), expected, rtol=1e-13)


def test_what_has_no_closed_form_is_refused():
    q = bjm.make_parameter(0.0)
    with pytest.raises(NotImplementedError, match="An? OnNaturalScale knows no diverg"):
        LOG_OF_HALF_NORMAL.kl_from(q)
    with pytest.raises(NotImplementedError, match=r"OnNaturalScale .* `kl='sampled'`"):
        LOG_OF_HALF_NORMAL.mean_log_density(q.mean, q.stdv)
