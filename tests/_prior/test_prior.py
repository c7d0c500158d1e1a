"""Priors against SciPy, exact integrals and draws, and by their errors."""

from functools import partial
from operator import itemgetter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random
from jax.test_util import check_grads

import BayesianJaxModels as bjm

from ..registry import LogisticParameter

LOG_OF_HALF_NORMAL = bjm.priors.OnNaturalScale(
    bjm.priors.HalfNormal(2.0), jnp.exp, jnp.log
)
LOG_OF_LOG_NORMAL = bjm.priors.OnNaturalScale(
    bjm.priors.LogNormal(0.25, 0.5), jnp.exp, jnp.log
)


def log_of_exponential(rate):
    return bjm.priors.OnNaturalScale(bjm.priors.Exponential(rate), jnp.exp, jnp.log)


# Every number is one of float32, so that double precision sees the same.
PRIORS = {
    "normal": (bjm.priors.Normal(0.5, 2.0), scipy.stats.norm(0.5, 2.0)),
    "Laplace": (bjm.priors.Laplace(0.5, 2.0), scipy.stats.laplace(0.5, 2.0)),
    "Student t": (bjm.priors.StudentT(4.0, 0.5, 2.0), scipy.stats.t(4.0, 0.5, 2.0)),
    "half-normal": (bjm.priors.HalfNormal(2.0), scipy.stats.halfnorm(scale=2.0)),
    "truncated normal": (
        bjm.priors.TruncatedNormal(0.5, 2.0, high=4.5),
        scipy.stats.truncnorm(-0.25, 2.0, 0.5, 2.0),
    ),
    "normal above 0": (
        bjm.priors.TruncatedNormal(0.5, 2.0),
        scipy.stats.truncnorm(-0.25, np.inf, 0.5, 2.0),
    ),
    "half-Cauchy": (bjm.priors.HalfCauchy(2.0), scipy.stats.halfcauchy(scale=2.0)),
    "log-normal": (
        bjm.priors.LogNormal(0.25, 0.5),
        scipy.stats.lognorm(0.5, scale=np.exp(0.25)),
    ),
    "exponential": (bjm.priors.Exponential(2.0), scipy.stats.expon(scale=0.5)),
    "gamma": (bjm.priors.Gamma(2.5, 2.0), scipy.stats.gamma(2.5, scale=0.5)),
    "gamma of one": (bjm.priors.Gamma(1.0, 2.0), scipy.stats.expon(scale=0.5)),
    "inverse gamma": (
        bjm.priors.InverseGamma(2.5, 2.0),
        scipy.stats.invgamma(2.5, scale=2.0),
    ),
    "uniform": (bjm.priors.Uniform(-1.0, 3.0), scipy.stats.uniform(-1.0, 4.0)),
    "beta": (bjm.priors.Beta(2.5, 1.0), scipy.stats.beta(2.5, 1.0)),
    "log of exponential": (
        log_of_exponential(2.0),
        scipy.stats.loggamma(1.0, loc=-np.log(2.0)),
    ),
}


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


LOGIT = (jax.nn.sigmoid, jax.scipy.special.logit)
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


# Of each kind one that has no density, as a draw of its fields may be.
NOWHERE = [
    (bjm.priors.Normal, (np.nan, 1.0)),
    (bjm.priors.Normal, (0.0, 0.0)),
    (bjm.priors.Laplace, (0.0, 0.0)),
    (bjm.priors.StudentT, (np.inf, 0.0, 1.0)),
    (bjm.priors.HalfNormal, (0.0,)),
    (bjm.priors.HalfCauchy, (np.nan,)),
    (bjm.priors.LogNormal, (0.0, np.inf)),
    (bjm.priors.Exponential, (0.0,)),
    (bjm.priors.Gamma, (0.0, 1.0)),
    (bjm.priors.InverseGamma, (1.0, np.nan)),
    (bjm.priors.Uniform, (1.0, 0.0)),
    (bjm.priors.Uniform, (0.0, np.nan)),
    (bjm.priors.Beta, (0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (0.0, 0.0, 0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (np.nan, 1.0, 0.0, 1.0)),
    (bjm.priors.TruncatedNormal, (0.0, 1.0, 1.0, 0.0)),
    (bjm.priors.TruncatedNormal, (0.0, 1.0, np.nan, 1.0)),
]


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


@pytest.mark.parametrize(
    ("prior", "value", "expected"),
    [
        (bjm.priors.HalfCauchy(1.0), 1e25, scipy.stats.halfcauchy),
        (bjm.priors.StudentT(0.5), 1e25, scipy.stats.t(0.5)),
        (bjm.priors.Normal(0.0, 1e-25), 2e-25, scipy.stats.norm(0.0, 1e-25)),
        (bjm.priors.Beta(2.0, 1e6), 3e-6, scipy.stats.beta(2.0, 1e6)),
    ],
)
def test_squares_that_single_precision_does_not_hold(prior, value, expected):
    density, slope = jax.jit(jax.value_and_grad(prior.log_density))(jnp.float32(value))
    np.testing.assert_allclose(density, expected.logpdf(value), rtol=1e-5)
    assert jnp.isfinite(slope)


def model_of(key):
    return {
        "rates": bjm.make_parameter([0.5, -1.0], init_raw_stdv=0.3),
        "net": bjm.BayesianLinear(2, 1, param_type=bjm.LaplacianParameter, key=key),
        "sigma": bjm.make_parameter(0.7, bayesian=False),
    }


def is_bias(name, parameter):
    return name.endswith(".b")


RULES = {
    bjm.LaplacianParameter: bjm.priors.Laplace(0.0, 0.5),
    is_bias: bjm.priors.Normal(0.0, 3.0),
    "['rates']": bjm.priors.Normal(np.array([0.0, 1.0]), 2.0),
    "['sigma']": bjm.priors.HalfNormal(1.0),
}


def test_names_decide_first_then_the_others_in_their_order(key):
    model = model_of(key)
    found = bjm.Prior(RULES).of_parameters(model)
    kinds = {name: type(prior) for name, prior in found.items()}
    assert kinds == {
        "['net'].W": bjm.priors.Laplace,
        "['net'].b": bjm.priors.Laplace,
        "['rates']": bjm.priors.Normal,
        "['sigma']": bjm.priors.HalfNormal,
    }
    everything = {bjm.AbstractParameter: bjm.priors.StudentT(3.0), **RULES}
    found = bjm.Prior({is_bias: bjm.priors.Normal(), **everything}).of_parameters(model)
    assert [type(prior) for prior in found.values()] == [
        bjm.priors.StudentT,
        bjm.priors.Normal,
        bjm.priors.Normal,
        bjm.priors.HalfNormal,
    ]


def expected_log_prior(drawn):
    net = drawn["net"]
    of_net = scipy.stats.laplace(0.0, 0.5).logpdf
    of_rates = scipy.stats.norm([0.0, 1.0], 2.0).logpdf(drawn["rates"].mean)
    of_sigma = scipy.stats.halfnorm.logpdf(drawn["sigma"].mean)
    return of_net(net.W.mean).sum() + of_net(net.b.mean) + of_rates.sum() + of_sigma


def test_log_prior_of_many_draws(key, x64):
    """One trace serves every draw, in double precision as in single."""
    traces = []

    @jax.jit
    @jax.vmap
    def log_priors(drawn):
        traces.append(None)
        return bjm.log_prior(drawn, bjm.Prior(RULES))

    model = model_of(key)
    sample = jax.jit(jax.vmap(lambda key: bjm.sample_all_parameters(model, key)))
    batch = sample(random.split(key, 3))
    draws = [jax.tree.map(itemgetter(i), batch) for i in range(3)]
    expected = [expected_log_prior(drawn).item() for drawn in draws]
    np.testing.assert_allclose(log_priors(batch), expected, rtol=1e-12)
    assert log_priors(batch).dtype == jnp.float64
    assert len(traces) == 1
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), draws[0])
    found = jax.jit(bjm.log_prior)(single, bjm.Prior(RULES))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected[0], rtol=1e-5)


def test_draws_from_the_prior(key):
    model, prior = model_of(key), bjm.Prior(RULES)
    sample = jax.jit(jax.vmap(lambda key: bjm.sample_prior(model, prior, key)))
    draws = sample(random.split(key, 4_000))
    assert jax.tree.structure(draws) == jax.tree.structure(model)
    rates, sigma = draws["rates"].mean, draws["sigma"].mean
    error = 4 * 2.0 / 4_000**0.5
    np.testing.assert_allclose(rates.mean(0), [0, 1], atol=error)
    np.testing.assert_allclose(draws["net"].W.mean.std(), 0.5**0.5, rtol=0.05)
    assert jnp.all(sigma > 0)
    independent = np.corrcoef(np.column_stack([rates, sigma]), rowvar=False)
    assert np.all(np.abs(independent - np.eye(3)) < 4 / 4_000**0.5)


class Decay(bjm.AbstractVectorField):
    log_rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -jnp.exp(self.log_rate.mean) * y


def test_prior_predictive_trajectories(key):
    """Draws of exp(-rate t) have the log-normal quantiles of the rate."""
    field = Decay(bjm.make_parameter(0.0))
    prior = bjm.Prior(default=bjm.priors.Normal(-1.0, 0.5))
    ts = jnp.array([0.0, 1.0])
    trajectories = bjm.posterior_trajectories(
        bjm.PriorDraws(field, prior), jnp.ones(()), ts, key=key, num_samples=1_000
    )
    rates = -np.log(np.asarray(trajectories.ys[:, 1], float))
    rate = scipy.stats.lognorm(0.5, scale=np.exp(-1.0))
    assert scipy.stats.kstest(rates, rate.cdf).statistic < 1.95 / 1_000**0.5


def test_divergence_from_the_prior(key):
    """It is minus the mean log prior less the entropy, by draws."""
    model = model_of(key) | {
        "correlated": bjm.MultivariateGaussianParameter.from_covariance(
            jnp.array([0.3, -1.0]), jnp.array([[0.3, 0.2], [0.2, 0.4]])
        ),
        "own": LogisticParameter(jnp.array([0.3, 1.0]), jnp.array([0.9, 0.5])),
    }
    prior = bjm.Prior(RULES, default=bjm.priors.Normal(0.5, 1.5))

    @jax.jit
    @jax.vmap
    def log_priors(key):
        return bjm.log_prior(bjm.sample_all_parameters(model, key), prior)

    draws = log_priors(random.split(key, 20_000))
    error = 4 * draws.std() / 20_000**0.5
    expected = -draws.mean() - bjm.entropy(model)
    divergence = jax.jit(bjm.kl_to_prior)(model, prior)
    np.testing.assert_allclose(divergence, expected, atol=error)


@pytest.mark.parametrize("sd", [1e-6, 1e-4, 1e3])
def test_divergence_from_narrow_and_wide_priors(sd, x64):
    q = bjm.GaussianParameter(jnp.array(2e-4), jnp.array(0.01))
    of_normal = bjm.kl_to_prior(q, bjm.Prior(default=bjm.priors.Normal(1e-4, sd)))
    expected = np.log(sd / 2e-4) + (2e-4**2 + 1e-4**2) / (2 * sd**2) - 0.5
    np.testing.assert_allclose(of_normal, expected, rtol=1e-11)
    q = bjm.LaplacianParameter(jnp.array(2e-4), jnp.array(0.01))
    of_laplace = bjm.kl_to_prior(q, bjm.Prior(default=bjm.priors.Laplace(1e-4, sd)))
    expected = np.log(sd / 2e-4) + (2e-4 * np.exp(-0.5) + 1e-4) / sd - 1
    np.testing.assert_allclose(of_laplace, expected, rtol=1e-11)


def test_mistakes_are_named(key):
    model = model_of(key)
    with pytest.raises(ValueError, match=r"says nothing of .*\['net'\].W.*`default`"):
        bjm.log_prior(model, bjm.Prior({"['rates']": bjm.priors.Normal()}))
    with pytest.raises(ValueError, match=r"'rats'.*Near matches: .*rates"):
        bjm.log_prior(
            model, bjm.Prior({"rats": bjm.priors.Normal()}, bjm.priors.Normal())
        )
    for rule in (3, float):
        with pytest.raises(TypeError, match="A rule must be a name, a type"):
            bjm.Prior({rule: bjm.priors.Normal()})
    with pytest.raises(TypeError, match="must lead to a prior"):
        bjm.Prior({"rates": 1.0})
    for width in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"`sd` must be positive, but got {width}"):
            bjm.priors.Normal(0.0, width)
    for kind in (bjm.priors.TruncatedNormal, bjm.priors.Uniform):
        with pytest.raises(ValueError, match="`low` must be below `high`"):
            kind(low=1.0, high=0.5)
    for kind, fields in NOWHERE:
        with pytest.raises(ValueError, match=r"`\w+` must be (positive|finite|below)"):
            kind(*fields)
    wide = bjm.Prior(default=bjm.priors.Normal(jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"`mean` has shape \(3,\), .* to \(2,\)"):
        bjm.log_prior({"rates": model["rates"]}, wide)
    for other in (
        bjm.priors.StudentT(3.0),
        bjm.priors.Gamma(3.0),
        bjm.priors.Uniform(),
        bjm.priors.Beta(1, 2),
    ):
        wanted = rf"Gaussian.* {type(other).__name__}\) of `\['x'\]"
        with pytest.raises(NotImplementedError, match=wanted):
            bjm.kl_to_prior(model | {"x": model["rates"]}, bjm.Prior(RULES, other))


@pytest.mark.parametrize(
    ("prior", "exact", "values"),
    [
        (
            bjm.priors.Gamma(1e6, 1e6),
            scipy.stats.gamma(1e6, scale=1e-6),
            [0.999, 1.0, 1.001],
        ),
        (
            bjm.priors.Gamma(1e4, 2e4),
            scipy.stats.gamma(1e4, scale=5e-5),
            [0.49, 0.5, 0.52],
        ),
        (
            bjm.priors.InverseGamma(1e5, 1e5),
            scipy.stats.invgamma(1e5, scale=1e5),
            [0.999, 1.0, 1.001],
        ),
        (bjm.priors.Beta(1e5, 1e5), scipy.stats.beta(1e5, 1e5), [0.499, 0.5, 0.501]),
        (bjm.priors.Beta(2.0, 1e5), scipy.stats.beta(2, 1e5), [1e-6, 1e-5, 1e-4]),
        (bjm.priors.Beta(1e5, 1.0), scipy.stats.beta(1e5, 1), [0.9999, 0.99999, 1.0]),
    ],
)
def test_large_concentrations_in_single_precision(prior, exact, values):
    """Log gamma functions of a million cancel to half a nat in float32."""
    values = jnp.array(values)
    expected = exact.logpdf(np.asarray(values, np.float64))
    np.testing.assert_allclose(prior.log_density(values), expected, atol=1e-4)
    slopes = jax.vmap(jax.grad(prior.log_density))(values)
    assert np.all(np.isfinite(slopes))


def test_what_is_known_is_drawn_by_a_rule_about_it_alone(key):
    model = {"a": bjm.make_parameter(0.0), "b": bjm.DeterministicParameter(7.0)}
    of_all = bjm.sample_prior(
        model, bjm.Prior(default=bjm.priors.Normal(0.0, 1.0)), key
    )
    assert float(of_all["b"].mean) == 7
    assert float(of_all["a"].mean) != 0
    named = bjm.Prior(
        {"['b']": bjm.priors.Normal(0.0, 1.0)}, bjm.priors.Normal(0.0, 1.0)
    )
    assert float(bjm.sample_prior(model, named, key)["b"].mean) != 7
