import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from jax.test_util import check_grads

import BayesianJaxModels as bjm

# Mean and sd, low and high: windows far out in a tail, without an end and narrow, to
# one side of the mean, at it and around it.
WINDOWS = [
    (-6.0, 1.0, 0.0, np.inf),
    (-1000.0, 1.0, 0.0, np.inf),
    (3.5, 1.0, -np.inf, 0.0),
    (0.0, 2.0, 80.0, 80.125),
    (0.0, 1.0, -1e-3, 2e-3),
    (0.0, 1.0, 0.0, np.inf),
    (0.0, 1.0, 0.75, 1.0),
    (0.0, 1.0, -np.inf, np.inf),
    (0.0, 1.0, -40.0, -39.0),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncation_far_out_and_to_narrow_windows(dtype, key, x64):
    fields = jnp.asarray(WINDOWS, dtype)
    like = jnp.zeros((20_000, len(WINDOWS)), dtype)

    def draw(fields):
        draws = bjm.priors.TruncatedNormal(*fields.T).sample(key, like)
        return draws, bjm.priors.TruncatedNormal(*fields.T).log_density(draws)

    @jax.jit
    def draw_and_slopes(fields):
        found, pull_back = jax.vjp(draw, fields)
        return found, pull_back((like + 1, like + 1))

    if dtype == "float32":
        found, slopes = draw_and_slopes(fields)
        assert jnp.all(jnp.isfinite(slopes[0]))
    else:
        found = jax.jit(draw)(fields)
    draws, densities = (np.asarray(x, float) for x in found)
    rtol = 2e-6 if dtype == "float32" else 1e-10
    for (mean, sd, low, high), x, density in zip(
        np.asarray(fields, float), draws.T, densities.T, strict=True
    ):
        expected = scipy.stats.truncnorm(
            (low - mean) / sd, (high - mean) / sd, mean, sd
        )
        assert low <= x.min() < x.max() <= high
        assert len(np.unique(x)) > 10_000
        np.testing.assert_allclose(density, expected.logpdf(x), rtol=rtol, atol=rtol)
        statistic = scipy.stats.kstest(x, expected.cdf).statistic
        assert statistic < 1.95 / len(x) ** 0.5


def test_draws_of_a_truncated_normal_follow_its_ends(key, x64):
    """The derivative of a draw by each field is that of the same draw moved."""
    like = jnp.zeros(5)

    @jax.jit
    def draws(fields):
        return bjm.priors.TruncatedNormal(*fields).sample(key, like)

    for fields in ([-6.0, 1.0, 0.0, 0.5], [0.2, 0.5, -0.25, 1.0], [0.0, 1.0, -4, -3]):
        check_grads(draws, (jnp.array(fields),), 1, ["fwd", "rev"])


def test_without_ends_it_is_normal_and_with_one_at_the_mean_half(x64):
    x = jnp.array([-40.0, -1.0, 0.5, 3.0, 40.0])
    whole = bjm.priors.TruncatedNormal(0.5, 2.0, -np.inf, np.inf)
    normal = bjm.priors.Normal(0.5, 2.0).log_density(x)
    np.testing.assert_allclose(whole.log_density(x), normal, rtol=1e-14)
    half = bjm.priors.TruncatedNormal(0.0, 2.0, low=0.0)
    expected = bjm.priors.HalfNormal(2.0).log_density(x)
    np.testing.assert_allclose(half.log_density(x), expected, rtol=1e-14)


def test_slopes_are_those_of_the_hazards_at_the_ends(x64):
    """Around the mean and far out, where SciPy's log of the probability is exact."""
    cases = np.array([[0.2, 0.5, -0.25, 1.0, 0.5], [-6.0, 1.0, 0.0, 0.5, 0.125]])

    def density(fields):
        *fields, value = fields
        return bjm.priors.TruncatedNormal(*fields).log_density(value)

    slopes = jax.vmap(jax.grad(density))(jnp.asarray(cases))
    mean, sd, low, high, x = cases.T
    a, b, z = (low - mean) / sd, (high - mean) / sd, (x - mean) / sd
    norm = scipy.stats.norm
    mass = norm.sf(a) - norm.sf(b)
    at_low, at_high = norm.pdf(a) / mass, norm.pdf(b) / mass
    expected = [
        (z + at_high - at_low) / sd,
        (z**2 - 1 + b * at_high - a * at_low) / sd,
        at_low / sd,
        -at_high / sd,
        -z / sd,
    ]
    np.testing.assert_allclose(slopes, np.transpose(expected), rtol=1e-9)


def test_ends_themselves_have_a_density_and_nothing_beyond(x64):
    prior = bjm.priors.TruncatedNormal(0.5, 2.0, -1.0, 2.0)
    x = jnp.array([np.nextafter(-1, -2), -1.0, 2.0, np.nextafter(2, 3), np.nan])
    exact = scipy.stats.truncnorm(-0.75, 0.75, 0.5, 2.0)
    expected = [-np.inf, exact.logpdf(-1.0), exact.logpdf(2.0), -np.inf, -np.inf]
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-13)
