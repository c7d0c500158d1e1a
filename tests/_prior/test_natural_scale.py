import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
