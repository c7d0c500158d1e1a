"""Importance sampling against exact answers."""

import warnings

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.scipy.stats import norm
from jaxtyping import Array, Float

import BayesianJaxModels as bjm
from tests._infer.targets import (
    BANANA_MEAN,
    BANANA_SKEWNESS,
    BANANA_STDV,
    Gaussian,
    Population,
    TwoModes,
    banana,
    banana_model,
    correlated,
)


def moments_of(posterior):
    weights, draws = np.asarray(posterior.weights), np.asarray(posterior.draws)
    mean = weights @ draws
    return mean, np.cov(draws.T, aweights=weights, ddof=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_correlated_normal_from_a_poor_start(key, dtype, x64):
    """A start that is ten times too wide or narrow, uncorrelated and off by its sd."""
    density, model = correlated(4, dtype)
    widths = jnp.sqrt(jnp.diagonal(density.covariance))
    factor = jnp.asarray([10, 0.3, 3, 0.5], dtype)
    start = bjm.JointPosterior.gaussian(
        bjm.unflatten_means(model, density.mean + widths),
        jnp.diag((factor * widths) ** 2),
    )
    posterior = bjm.importance(density, start, key=key, num_samples=4_000)
    mean, covariance = moments_of(posterior)
    sd = np.sqrt(np.diagonal(density.covariance))
    assert np.max(np.abs(mean - density.mean) / sd) < 0.05
    np.testing.assert_allclose(np.sqrt(np.diagonal(covariance)) / sd, 1, atol=0.04)
    correlation = covariance / np.outer(sd, sd)
    assert np.max(np.abs(correlation - (0.9 + 0.1 * np.eye(4)))) < 0.08
    assert posterior.draws.dtype == dtype
    found = posterior.diagnostics
    assert found.k_hat < 0.5
    assert found.ess > 4_000
    # The density is normalised: its evidence is 1.
    np.testing.assert_allclose(found.log_evidence, 0, atol=0.05)
    again = bjm.importance(density, start, key=key, num_samples=4_000)
    np.testing.assert_array_equal(again.draws, posterior.draws)


def test_skewed_posterior(key):
    """Skewness 2.65: what no Gaussian fits. Laplace and its like are flagged."""
    mode = bjm.map_estimate(banana, banana_model(), key=key, num_starts=4)
    np.testing.assert_allclose(mode.model.mean, 0, atol=0.05)
    start = bjm.laplace(banana, mode.model)
    with pytest.warns(UserWarning, match="fault found with 4000 draws"):
        diagnosis = bjm.diagnose(banana, start, key=key)
    assert not diagnosis.trustworthy
    laplace_sd = np.sqrt(np.diagonal(start.covariance))
    assert laplace_sd[1] / BANANA_STDV[1] < 0.5
    # Other keys find .7 of the width: what the share of effective draws tells of.
    with pytest.warns(UserWarning, match=r"% of the draws are effective, below 25"):
        posterior = bjm.importance(banana, start, key=key)
    mean, covariance = moments_of(posterior)
    assert np.max(np.abs(mean - BANANA_MEAN) / BANANA_STDV) < 0.1
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(covariance)) / BANANA_STDV, 1, atol=0.08
    )
    y = np.asarray(posterior.draws)[:, 1]
    skewness = np.asarray(posterior.weights) @ (y - mean[1]) ** 3
    assert skewness / BANANA_STDV[1] ** 3 > 0.7 * BANANA_SKEWNESS > 1.8


TWO = TwoModes(
    jnp.array([0.88, 0.12]),
    jnp.array([[-2.0, 1.0], [3.0, 0.0]]),
    jnp.array([[0.1, 1.0], [0.5, 0.2]]),
)


@pytest.mark.parametrize(
    ("weights", "wider"), [([1, 1], 1.0), ([1, 1], 0.4), ([999, 1], 1.0), ([1, 9], 2.0)]
)
def test_two_modes_of_unequal_mass(weights, wider, key):
    """Whatever mass and width the start gives them, and one program for all."""
    start = bjm.MixturePosterior(TWO.fits(banana_model(), wider=wider), weights)
    found = bjm.importance(TWO, start, key=key, num_samples=2_000, num_rounds=4)
    mean, covariance = moments_of(found)
    right_mean, right_stdv = TWO.moments()
    np.testing.assert_allclose((mean - right_mean) / right_stdv, 0, atol=0.04)
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(covariance)) / right_stdv, 1, atol=0.03
    )
    second = np.asarray(found.draws)[:, 0] > 0.5
    np.testing.assert_allclose(found.weights[second].sum(), 0.12, atol=0.01)
    np.testing.assert_allclose(found.diagnostics.log_evidence, 1.5, atol=0.03)
    assert found.diagnostics.complaints() == []
    assert found.diagnostics.ess > 0.6 * 8_000


def test_a_mixture_is_nested_or_one(key):
    """Components of a mixture in a mixture count; a mode without mass does no harm."""
    one, other = TWO.fits(banana_model())
    nowhere = bjm.JointPosterior.gaussian(
        bjm.unflatten_means(banana_model(), jnp.array([9.0, 9.0])), 0.01 * jnp.eye(2)
    )
    inner = bjm.MixturePosterior([other, nowhere])
    start = bjm.MixturePosterior([one, inner], [0.5, 0.5])
    traces = []

    def counted(drawn):
        traces.append(None)
        return TWO(drawn)

    for seed in (0, 1):
        found = bjm.importance(
            counted, start, key=random.key(seed), num_samples=2_000, num_rounds=4
        )
        mean, stdv = TWO.moments()
        np.testing.assert_allclose((moments_of(found)[0] - mean) / stdv, 0, atol=0.05)
    assert len(traces) == 1
    alone = bjm.importance(TWO, one, key=key, num_samples=500, num_rounds=2)
    single = bjm.MixturePosterior([one])
    same = bjm.importance(TWO, single, key=key, num_samples=500, num_rounds=2)
    np.testing.assert_array_equal(same.draws, alone.draws)
    many = bjm.MixturePosterior([one] * 60)
    with pytest.raises(ValueError, match="60 components, too many for `num_samples`"):
        bjm.importance(TWO, many, key=key, num_samples=100)


def test_a_funnel_that_is_not_reached_warns():
    """Twenty entries. The widths of the right ones are .6 to .85 of the truth for every
    key, with k-hats of .46 to .64 and 400 to 900 effective draws of 8,000: what k-hat
    and the count alone let pass. With good data nothing is said.
    """
    generator = np.random.default_rng(3)
    truth, noise = generator.normal(size=(2, 2, 8))
    for scale, is_right in ((0.3, True), (1.2, False)):
        data = jnp.asarray(truth + scale * noise, jnp.float32)
        target = Population(data, jnp.asarray(scale, jnp.float32))
        right_mean, right_stdv = target.moments()
        for seed in range(3):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                found = bjm.importance(
                    target,
                    target.model(),
                    key=random.key(seed),
                    num_samples=2_000,
                    num_rounds=4,
                )
            mean, covariance = (x[-2:] for x in moments_of(found))
            ratio = np.sqrt(np.diagonal(covariance[:, -2:])) / right_stdv
            off = np.abs(mean - right_mean) / right_stdv
            assert (np.max(off) < 0.2 and np.min(ratio) > 0.9) == is_right
            assert (len(told) == 0) == is_right
            assert (found.diagnostics.complaints() == []) == is_right
            assert ("no fault found" in repr(found.diagnostics)) == is_right


def test_too_few_finite_draws_are_counted(key):
    """Where they are finite but so low that weights underflow, they are enough."""

    def corner(drawn):
        return jnp.where(drawn.mean[0] > 2.5, 0.0, -jnp.inf)

    start = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    with pytest.raises(ValueError, match=r"finite for 1 of 100 draws, too few.*nearer"):
        bjm.importance(corner, start, key=random.key(2), num_samples=100)
    steep = Gaussian(jnp.full(2, 3.0), 1e-8 * jnp.eye(2))
    found = bjm.importance(steep, start, key=key, num_samples=1_000, num_rounds=8)
    np.testing.assert_allclose(found.diagnostics.log_evidence, 0, atol=0.1)


def test_failed_draws_count_and_bad_weights_warn(key):
    def half(drawn):
        return jnp.where(drawn.mean[0] > 0, banana(drawn), jnp.nan)

    start = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    posterior = bjm.importance(half, start, key=key, num_samples=1_000, num_rounds=2)
    found = posterior.diagnostics
    assert 100 < found.num_failed < 1_500
    assert found.num_evaluations == 2_000
    assert np.sum(posterior.weights == 0) >= found.num_failed
    assert np.all(posterior.draws[:, 0] > 0)
    # As many draws whatever fails, so that nothing is compiled anew.
    other = bjm.importance(
        half, start, key=random.key(7), num_samples=1_000, num_rounds=2
    )
    assert other.diagnostics.num_failed != found.num_failed
    traces = []

    def first(drawn):
        traces.append(None)
        return drawn.mean[0]

    for one in (posterior, other):
        values = bjm.map_posterior(first, one, key=key, num_samples=None)
        assert values.shape == (2_000,)
    assert len(traces) == 1

    far = bjm.JointPosterior.gaussian(
        bjm.GaussianParameter(jnp.array([9.0, 0.0]), jnp.ones(2)), 0.01 * jnp.eye(2)
    )
    with pytest.warns(UserWarning, match=r"k-hat .*effective draws .*`nuts`"):
        bjm.importance(banana, far, key=key, num_samples=100, num_rounds=1)
    with pytest.raises(bjm.AllFailedError, match="not finite for any of the 100 draws"):
        bjm.importance(lambda m: jnp.log(-1.0), start, key=key, num_samples=100)


def test_mistakes_are_named(key):
    start = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    for name, value in (("num_samples", 10), ("num_rounds", 0), ("df", 2)):
        with pytest.raises(ValueError, match=f"`{name}` must be at least"):
            bjm.importance(banana, start, key=key, **{name: value})
    with pytest.raises(ValueError, match="must return one real number"):
        bjm.importance(lambda m: m.mean, start, key=key)
    fixed = bjm.DeterministicParameter(jnp.zeros(2))
    with pytest.raises(ValueError, match="no parameter to infer"):
        bjm.importance(banana, fixed, key=key)


class Squared(eqx.Module):
    """A standard normal number seen squared, with noise: its sign is unknown."""

    seen: Float[Array, ""]

    def __call__(self, drawn):
        theta = drawn.mean[0]
        return norm.logpdf(theta) + norm.logpdf(self.seen, theta**2, 0.3)


@eqx.filter_jit
def at_both_signs(seen):
    root = jnp.sqrt(jnp.maximum(seen, 0.1))
    width = 1.2 * 0.3 / (2 * root)
    raw = jnp.sqrt(width - 1e-4)[None]
    return [bjm.GaussianParameter(sign * root[None], raw) for sign in (1.0, -1.0)]


def test_calibration_with_two_modes():
    """Ranks are uniform from a fit at both modes, and not from a fit at one."""

    def calibrate(start, num_simulations):
        def posterior_draws(key, seen):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the ranks are the judge
                found = bjm.importance(
                    Squared(seen), start(seen), key=key, num_samples=400, num_rounds=2
                )
            generator = np.random.default_rng(np.asarray(random.key_data(key)))
            weights = np.asarray(found.weights, float)
            pick = generator.choice(800, 50, p=weights / weights.sum())
            return np.asarray(found.draws)[pick]

        return bjm.calibration.simulation_based_calibration(
            lambda key: random.normal(key, (1,)),
            lambda key, theta: theta[0] ** 2 + 0.3 * random.normal(key, ()),
            posterior_draws,
            key=random.key(0),
            num_simulations=num_simulations,
        )

    both = calibrate(lambda seen: bjm.MixturePosterior(at_both_signs(seen)), 120)
    one = calibrate(lambda seen: at_both_signs(seen)[0], 40)
    assert both.passes
    assert not one.passes
