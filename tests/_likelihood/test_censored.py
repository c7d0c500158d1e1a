"""Detection limits and intervals against SciPy, far into the tails, and what fails."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from .cases import Logistic

# In standard deviations from the prediction.
Z = np.array([-300.0, -37.5, -6.0, -5.0, -1.0, 0.0, 0.25, 3.0, 5.0, 8.0, 37.5, 300.0])


class CensorableLogistic(Logistic):
    def log_cdf(self, prediction, observation, noise):
        return -jnp.logaddexp(jnp.zeros_like(prediction), prediction - observation)

    def log_survival(self, prediction, observation, noise):
        return -jnp.logaddexp(jnp.zeros_like(prediction), observation - prediction)


# How each is made, its distribution around a prediction, and a way from z to a value.
CASES = {
    "normal": (
        bjm.likelihoods.NormalLikelihood(0.5),
        lambda mean: scipy.stats.norm(mean, 0.5),
        lambda z: 2 + 0.5 * z,
    ),
    "Student t": (
        bjm.likelihoods.StudentTLikelihood(3.0, 0.5),
        lambda mean: scipy.stats.t(3.0, mean, 0.5),
        lambda z: 2 + 0.5 * z,
    ),
    "log-normal": (
        bjm.likelihoods.LogNormalLikelihood(0.25),
        lambda mean: scipy.stats.lognorm(0.25, scale=mean),
        lambda z: 2 * np.exp(0.25 * z),
    ),
    "own": (
        CensorableLogistic(),
        lambda mean: scipy.stats.logistic(mean),
        lambda z: 2 + z,
    ),
}
every_likelihood = pytest.mark.parametrize("name", CASES)


def agree(likelihood, data, expected, rtol):
    """Values, and gradients against central differences, in both precisions."""

    @jax.jit
    def run(prediction):
        each, pull = jax.vjp(lambda p: likelihood.log_prob_each(p, data), prediction)
        return each, pull(jnp.ones_like(each))[0]

    prediction = jnp.full(expected.shape, 2.0)
    value, gradient = run(prediction)
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=1e-13)
    difference = (run(prediction + 1e-6)[0] - run(prediction - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(gradient, difference, rtol=2e-5, atol=1e-7)
    single, slopes = run(prediction.astype(jnp.float32))
    assert single.dtype == slopes.dtype == jnp.float32
    np.testing.assert_allclose(single, expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(slopes, gradient, rtol=1e-3, atol=1e-5)


@every_likelihood
def test_limits_are_those_of_scipy(name, x64):
    likelihood, distribution, value = CASES[name]
    limits = value(Z[2:-2] if name == "log-normal" else Z)
    exact, none = distribution(2.0), np.full(limits.shape, np.nan)
    step = limits / 64
    cases = [  # each with a limit below, one above, data and what that has
        (limits, none, limits, exact.logcdf(limits)),
        (limits, none, limits - np.abs(step), exact.logcdf(limits)),
        (limits, none, limits + np.abs(step), exact.logpdf(limits + np.abs(step))),
        (none, limits, limits, exact.logsf(limits)),
        (none, limits, limits + np.abs(step), exact.logsf(limits)),
        (none, limits, limits - np.abs(step), exact.logpdf(limits - np.abs(step))),
    ]
    lower, upper, data, expected = (
        np.stack(column) for column in zip(*cases, strict=True)
    )
    agree(
        bjm.likelihoods.Censored(likelihood, lower, upper), data, expected, rtol=1e-11
    )


@every_likelihood
def test_intervals_are_those_of_scipy(name, x64):
    """Also where both ends are in a tail, and where they are nearly the same."""
    likelihood, distribution, value = CASES[name]
    z = np.array([-12.0, -6.0, -2.0, -0.1, 0.0, 0.4, 1.0, 5.0, 12.0])
    middle = value(z[1:-1] if name == "log-normal" else z)
    width = np.array([1e-6, 0.01, 0.3, 1.0, 6.0])[:, None]
    middle, width = np.broadcast_arrays(middle, width)
    low, high = middle - width / 2, middle + width / 2
    low = np.maximum(low, 0) if name == "log-normal" else low
    nodes, weights = np.polynomial.legendre.leggauss(200)
    half = (high - low)[..., None] / 2
    points = low[..., None] + half * (nodes + 1)
    terms = distribution(2.0).logpdf(points) + np.log(weights * half)
    expected = scipy.special.logsumexp(terms, axis=-1)
    agree(
        bjm.likelihoods.IntervalCensored(likelihood, width), middle, expected, rtol=1e-8
    )


def test_limits_for_each_entry_masks_and_failures():
    """NaN and infinity are no limit; what is masked or fails has finite gradients."""
    noise = bjm.likelihoods.NormalLikelihood(0.5)
    lower, upper = (
        np.array([1.0, np.nan, -np.inf, 1.0]),
        np.array([2.0, 3.0, np.inf, 5]),
    )
    censored = bjm.likelihoods.Censored(noise, lower, upper)
    prediction, data = jnp.array([0.5, 2.5, 2.5, 0.5]), np.array([0.0, 2.0, 9.0, 8.0])
    # Beyond a limit anything may be written down, infinity too.
    beyond = np.array([-np.inf, 2.0, 9.0, np.inf])
    each, of_beyond = jax.jit(
        lambda p: [censored.log_prob_each(p, values) for values in (data, beyond)]
    )(prediction)
    expected = [
        scipy.stats.norm(0.5, 0.5).logcdf(1.0),
        scipy.stats.norm(2.5, 0.5).logpdf(2.0),
        scipy.stats.norm(2.5, 0.5).logpdf(9.0),
        scipy.stats.norm(0.5, 0.5).logsf(5.0),
    ]
    np.testing.assert_allclose(each, expected, rtol=1e-5)
    np.testing.assert_allclose(of_beyond, each)
    both = bjm.likelihoods.Censored(
        bjm.likelihoods.IntervalCensored(bjm.likelihoods.LogNormalLikelihood(0.5), 0.5),
        0.2,
    )
    for likelihood in (censored, both):
        mask = np.array([True, False, True, True])
        seen = np.where(mask, data, np.nan)

        @jax.jit
        def run(prediction, gaps, likelihood=likelihood, seen=seen, mask=mask):
            of_gaps = jax.value_and_grad(likelihood.log_prob)(gaps, seen, mask)
            of_rest = likelihood.log_prob_each(prediction, seen, mask)
            return *of_gaps, of_rest, likelihood.log_prob_each(prediction, data)

        gaps = jnp.array([0.5, 2.5, jnp.nan, 0.5])
        value, slope, of_rest, usual = run(prediction, gaps)
        assert value == -np.inf
        assert np.all(np.isfinite(slope))
        assert np.all(slope[1:3] == 0)
        assert np.all(slope[::3] != 0)
        assert of_rest[1] == 0
        np.testing.assert_array_equal(of_rest[mask], usual[mask])
    # The last of both: of what is rounded, what lies below its limit.
    value = scipy.stats.lognorm(0.5, scale=0.5).logcdf(0.2)
    np.testing.assert_allclose(usual[0], value, rtol=1e-5)


def test_draws_are_at_limits_and_in_steps(key):
    censored = bjm.likelihoods.Censored(
        bjm.likelihoods.NormalLikelihood(0.5, observe=1), 0.0, 1.0
    )
    states = jnp.broadcast_to(jnp.array([9.0, 0.3]), (20_000, 2))
    draws = np.asarray(eqx.filter_jit(censored.sample)(key, states))
    assert draws.shape == (20_000,)
    exact = scipy.stats.norm(0.3, 0.5)
    for limit, share in ((0.0, exact.cdf(0.0)), (1.0, exact.sf(1.0))):
        np.testing.assert_allclose(np.mean(draws == limit), share, atol=0.015)
    assert np.all((draws >= 0) & (draws <= 1))
    rounded = bjm.likelihoods.IntervalCensored(
        bjm.likelihoods.NormalLikelihood(0.5), 0.25
    )
    draws = np.asarray(eqx.filter_jit(rounded.sample)(key, jnp.full(20_000, 0.3)))
    np.testing.assert_array_equal(draws * 4, np.round(draws * 4))
    share = exact.cdf(0.375) - exact.cdf(0.125)
    np.testing.assert_allclose(np.mean(draws == 0.25), share, atol=0.015)
    assert np.isnan(censored.sample(key, jnp.array([0.0, jnp.nan])))


def test_posterior_of_a_mean_of_which_most_is_not_detected(x64):
    """By `importance`, as by quadrature of SciPy's densities."""
    limit, data = 1.2, np.array([0.4, 1.2, -3.0, 1.31, 1.2, 0.0, 1.9, 1.2])
    is_seen = data > limit

    def log_density(drawn):
        noise = bjm.likelihoods.Censored(
            bjm.likelihoods.NormalLikelihood(0.5), lower=limit
        )
        fit = noise.log_prob(jnp.full(8, drawn.mean), data)
        return fit + bjm.log_prior(
            drawn, bjm.Prior(default=bjm.priors.Normal(0.0, 2.0))
        )

    grid = np.linspace(-3, 3, 2_001)
    exact = scipy.stats.norm(grid, 0.5)
    log_target = scipy.stats.norm(0, 2).logpdf(grid) + exact.logcdf(limit) * 6
    log_target += sum(exact.logpdf(y) for y in data[is_seen])
    weights = np.exp(log_target - log_target.max())
    mean = np.average(grid, weights=weights)
    sd = np.sqrt(np.average((grid - mean) ** 2, weights=weights))
    start = bjm.make_parameter(0.0, init_raw_stdv=0.7)
    posterior = bjm.importance(log_density, start, key=random.key(0))
    shares = jax.nn.softmax(posterior.log_weights)
    found = shares @ posterior.draws[:, 0]
    np.testing.assert_allclose(found, mean, atol=0.03 * sd)
    spread = jnp.sqrt(shares @ (posterior.draws[:, 0] - found) ** 2)
    np.testing.assert_allclose(spread, sd, rtol=0.03)


def test_mistakes_are_named():
    normal, prediction = bjm.likelihoods.NormalLikelihood(0.5), jnp.ones(2)
    for wrap in (
        lambda it: bjm.likelihoods.Censored(it, 1.0),
        lambda it: bjm.likelihoods.Censored(it, upper=1.0),
        lambda it: bjm.likelihoods.IntervalCensored(it, 1.0),
    ):
        with pytest.raises(TypeError, match="`likelihood` must be one such as"):
            wrap(0.5)
        counted = wrap(bjm.likelihoods.PoissonLikelihood())
        with pytest.raises(
            NotImplementedError, match="`PoissonLikelihood` has no `log_"
        ):
            counted.log_prob(prediction, np.ones(2))
    with pytest.raises(
        ValueError, match="`lower` must be below `upper`, but got 2.0 an"
    ):
        bjm.likelihoods.Censored(normal, 2.0, np.array([3.0, 1.0]))
    with pytest.raises(ValueError, match="`width` must be positive"):
        bjm.likelihoods.IntervalCensored(normal, 0.0)
    with pytest.raises(ValueError, match=r"`upper` has shape \(3,\)"):
        bjm.likelihoods.Censored(normal, upper=np.ones(3)).log_prob(
            prediction, np.ones(2)
        )
    for bad in (np.nan, np.inf):
        data, message = (
            np.array([1.0, bad]),
            "`observation` must be finite, or beyond a",
        )
        with pytest.raises(ValueError, match=message):
            bjm.likelihoods.Censored(normal, 0.0).log_prob(prediction, data)
    low = bjm.likelihoods.Censored(bjm.likelihoods.LogNormalLikelihood(0.5), upper=4.0)
    with pytest.raises(ValueError, match="finite and positive, or beyond a limit"):
        low.log_prob(prediction, np.array([0.0, 1.0]))

    @jax.jit
    def log_prob(lower):
        return bjm.likelihoods.Censored(normal, lower, 2.0).log_prob(
            prediction, jnp.ones(2)
        )

    assert log_prob(2.5) == -np.inf
    assert np.isfinite(log_prob(0.5))


def test_intervals_that_begin_below_the_support(key):
    """The bin around 0 of what is positive: it is drawn, so it must be possible."""
    likelihood = bjm.likelihoods.IntervalCensored(
        bjm.likelihoods.LogNormalLikelihood(0.3), 1.0
    )
    prediction = jnp.array([0.2, 1.0, 0.3])

    @jax.jit
    def run(prediction):
        drawn = likelihood.sample(key, prediction)
        at_zero = jax.value_and_grad(likelihood.log_prob)(prediction, np.zeros(3))
        return drawn, *at_zero

    drawn, value, slope = run(prediction)
    assert np.any(drawn == 0)
    exact = scipy.stats.lognorm(0.3, scale=prediction).logcdf(0.5)
    np.testing.assert_allclose(value, exact.sum(), rtol=1e-5)
    assert np.all(np.isfinite(slope))
    of_drawn = jax.jit(lambda p: likelihood.log_prob_each(p, np.asarray(drawn)))
    assert np.all(np.isfinite(of_drawn(prediction)))
    with pytest.raises(ValueError, match="finite and positive, or the middle of an"):
        likelihood.log_prob_each(prediction, jnp.full(3, -1.0))
