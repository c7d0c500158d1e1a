"""What every prior does: density, draws, and fields that are none."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import BayesianJaxModels as bjm

from .cases import LOGIT, NOWHERE, PRIORS, log_of_exponential


@jax.jit
def density_slopes_and_draws(prior, x, key):
    slopes = jax.vmap(jax.grad(type(prior).log_density, (0, 1)), (None, 0))
    draws = prior.sample(key, jnp.zeros(20_000, jnp.float32))
    return prior.log_density(x), slopes(prior, x), draws


@pytest.mark.parametrize("name", PRIORS)
def test_density_and_draws(name, key, x64):
    prior, expected = PRIORS[name]
    x = jnp.linspace(-3.0, 6.0, 37)  # with 0, the edge of most supports
    density, slopes, draws = density_slopes_and_draws(prior, x, key)
    np.testing.assert_allclose(density, expected.logpdf(x), rtol=1e-12, atol=1e-12)
    for slope in jax.tree.leaves(slopes):
        assert jnp.all(jnp.isfinite(slope))
        assert jnp.all(slope[density == -jnp.inf] == 0)
    single = jax.eval_shape(prior.log_density, x.astype(jnp.float32))
    assert single.dtype == jnp.float32
    assert draws.dtype == jnp.float32
    # A statistic beyond 1.95 / sqrt(n) has probability .001.
    statistic = scipy.stats.kstest(np.asarray(draws, float), expected.cdf).statistic
    assert statistic < 1.95 / 20_000**0.5


HEAVY = [
    *[prior for prior, _ in PRIORS.values()],
    bjm.priors.StudentT(0.05, 0.0, 0.1),
    bjm.priors.StudentT(0.05, 0.0, 10.0),
    bjm.priors.HalfCauchy(1e35),
    bjm.priors.LogNormal(0.0, 60.0),
    bjm.priors.Exponential(1e-37),
    bjm.priors.Gamma(0.01, 3.0),
    bjm.priors.InverseGamma(0.01, 3.0),
    bjm.priors.Beta(0.02, 0.02),
    bjm.priors.Uniform(-3e38, 3e38),
    bjm.priors.Uniform(1e6, 1e6 + 1),
    bjm.priors.OnNaturalScale(bjm.priors.Gamma(0.01), jnp.exp, jnp.log),
    bjm.priors.OnNaturalScale(bjm.priors.InverseGamma(0.01), jnp.exp, jnp.log),
    bjm.priors.OnNaturalScale(bjm.priors.Beta(0.02, 0.02), *LOGIT),
    bjm.priors.OnNaturalScale(bjm.priors.Uniform(), *LOGIT),
]


# JAX draws gamma numbers one by one. The heavy ones leave single precision in .9 % of
# the draws (the narrow Student t) to 42 %.
MADE_OF_GAMMA = (
    bjm.priors.StudentT | bjm.priors.Gamma | bjm.priors.InverseGamma | bjm.priors.Beta
)


def test_every_prior_knows_its_own_draws(key):
    """All of 100,000 are finite, with a finite density and finite slopes.

    20,000 of those that are made of gamma numbers.
    """

    @partial(jax.jit, static_argnums=1)
    def judge(prior, num):
        draws = prior.sample(key, jnp.zeros(num))
        density, pull_back = jax.vjp(prior.log_density, draws)
        return draws, density, *pull_back(jnp.ones_like(density))

    for prior in HEAVY:
        drawn = prior.prior if isinstance(prior, bjm.priors.OnNaturalScale) else prior
        num = 20_000 if isinstance(drawn, MADE_OF_GAMMA) else 100_000
        for found in judge(prior, num):
            assert jnp.all(jnp.isfinite(found)), prior
    # The slope of this one overflows where JAX squares an inverse.
    overflowing = bjm.priors.OnNaturalScale(
        bjm.priors.Normal(0.0, 60.0), jnp.log, jnp.exp
    )
    for found in judge(overflowing, 100_000)[:2]:
        assert jnp.all(jnp.isfinite(found))


def test_fields_that_are_known_only_when_compiled_code_runs():
    """Bad ones have no density and slopes of zero, and so has a value of NaN."""

    @eqx.filter_jit
    def density_and_slopes(kind, fields, value):
        return jax.value_and_grad(
            lambda fields, value: kind(*fields).log_density(value), (0, 1)
        )(fields, value)

    for kind, fields in NOWHERE:
        fields = tuple(map(jnp.float32, fields))
        density, slopes = density_and_slopes(kind, fields, jnp.float32(0.5))
        assert density == -jnp.inf, (kind, fields)
        assert all(slope == 0 for slope in jax.tree.leaves(slopes)), (kind, fields)
    for prior, _ in PRIORS.values():
        kind, fields = type(prior), tuple(jax.tree.leaves(prior))
        if kind is bjm.priors.OnNaturalScale:
            kind = log_of_exponential
        for value in (jnp.float32(np.nan), jnp.float32(np.inf)):
            density, (_, slope) = density_and_slopes(kind, fields, value)
            assert (density, slope) == (-jnp.inf, 0), prior


def test_fields_of_which_there_is_no_density_are_named():
    for kind, fields in NOWHERE:
        with pytest.raises(ValueError, match=r"`\w+` must be (positive|finite|below)"):
            kind(*fields)


# A good value of every field of every kind.
FIELDS = {
    bjm.priors.Normal: {"mean": 0.0, "sd": 1.0},
    bjm.priors.Laplace: {"mean": 0.0, "scale": 1.0},
    bjm.priors.StudentT: {"df": 3.0, "mean": 0.0, "scale": 1.0},
    bjm.priors.HalfNormal: {"scale": 1.0},
    bjm.priors.HalfCauchy: {"scale": 1.0},
    bjm.priors.LogNormal: {"mean": 0.0, "sd": 1.0},
    bjm.priors.Exponential: {"rate": 1.0},
    bjm.priors.Gamma: {"concentration": 2.0, "rate": 1.0},
    bjm.priors.InverseGamma: {"concentration": 2.0, "scale": 1.0},
    bjm.priors.Uniform: {"low": 0.0, "high": 1.0},
    bjm.priors.Beta: {"alpha": 2.0, "beta": 2.0},
    bjm.priors.TruncatedNormal: {"mean": 0.0, "sd": 1.0, "low": 0.0, "high": 1.0},
}
MAY_BE_ANY = {"mean", "low", "high"}


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_every_field_is_named_in_its_errors(kind, key):
    fields = FIELDS[kind]
    for name, good in fields.items():
        for wrong in (None, "text", True, 1j):
            with pytest.raises(TypeError, match=f"`{name}` must be a real number"):
                kind(**{**fields, name: wrong})
        wanted = "finite" if name in MAY_BE_ANY else "positive"
        bad = [np.nan] if name in MAY_BE_ANY else [np.nan, np.inf, 0.0, -1.0]
        if name in ("low", "high"):
            wanted = "finite" if kind is bjm.priors.Uniform else "below"
        for value in bad:
            with pytest.raises(
                ValueError, match=f"`{name}`.* {wanted}|be below `high`"
            ):
                kind(**{**fields, name: np.array([good, value])})
        wide = kind(**{**fields, name: np.full(3, good, np.float32)})
        message = rf"`{name}` has shape \(3,\), which does not broadcast to \(2,\)"
        with pytest.raises(ValueError, match=message):
            wide.log_density(jnp.full(2, 0.5))
        with pytest.raises(ValueError, match=message):
            wide.sample(key, jnp.full(2, 0.5))
        row = jnp.full((2, 3), 0.5)
        expected = kind(**fields).log_density(row)
        np.testing.assert_array_equal(wide.log_density(row), expected)


def test_a_prior_of_your_own_needs_only_two_methods(key):
    class Triangle(bjm.priors.AbstractPrior):
        def log_density(self, value):
            return jnp.log(2 * value)

        def sample(self, key, value):
            return jnp.sqrt(jax.random.uniform(key, value.shape, value.dtype))

    prior, q = Triangle(), bjm.make_parameter([0.25, 0.5])
    of_model = bjm.log_prior(q, bjm.Prior(default=prior))
    np.testing.assert_allclose(of_model, np.log(0.5), rtol=1e-6)
    assert bjm.sample_prior(q, bjm.Prior(default=prior), key).mean.shape == (2,)
    with pytest.raises(NotImplementedError, match="A Triangle knows no divergence"):
        prior.kl_from(q)
    with pytest.raises(NotImplementedError, match=r"of a Triangle .* `kl='sampled'`"):
        prior.mean_log_density(q.mean, q.stdv)
    with pytest.raises(TypeError, match="abstract"):
        bjm.priors.AbstractPrior()
