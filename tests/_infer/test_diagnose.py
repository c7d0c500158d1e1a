"""The diagnosis of fits: the same verdict, and the right one, for nearly all keys."""

import warnings
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from tests._infer.targets import (
    Gaussian,
    Johnson,
    TwoModes,
    banana,
    banana_model,
    michaelis_menten,
    michaelis_menten_moments,
)

KEYS = [random.key(seed) for seed in range(10)]


def plane(dtype=None):
    return bjm.GaussianParameter(jnp.zeros(2, dtype), jnp.ones(2, dtype))


def at(mean, covariance):
    model = bjm.GaussianParameter(jnp.asarray(mean, float), jnp.ones(len(mean)))
    return bjm.JointPosterior.gaussian(model, jnp.asarray(covariance, float))


def by_key(log_density, fit, keys=KEYS, **options):
    """A diagnosis for each key. It warns where it should."""
    found = []
    for key in keys:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            one = bjm.diagnose(log_density, fit, key=key, **options)
        assert len(told) == (not one.trustworthy)
        found.append(one)
    return found


def verdicts(log_density, fit, keys=KEYS, **options):
    """How often each is given."""
    return count(by_key(log_density, fit, keys, **options))


def count(diagnoses):
    return dict(Counter(one.verdict for one in diagnoses))


# The draws alone must find the fault: searches for other modes could only help.
ALONE = {"num_searches": 0}


def diagnose(*args, **options):
    """Without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return bjm.diagnose(*args, **options)


def test_widths_and_places():
    """The limits are Stan's, .8 to 1.25 and a quarter of a standard deviation."""
    target = Gaussian(jnp.zeros(2), jnp.array([[1.0, 0.5], [0.5, 1.0]]))
    for scale, off, expected, options in (
        (1.0, 0.0, "no fault found", {}),
        (0.9, 0.0, "no fault found", {}),
        (0.7, 0.0, "fault found", ALONE),
        (0.59, 0.0, "fault found", ALONE),
        (1.15, 0.15, "no fault found", {}),
        (1.5, 0.0, "fault found", ALONE),
        (1.0, 0.4, "fault found", ALONE),
    ):
        fit = at([off, 0], scale**2 * target.covariance)
        [found, *others] = by_key(target, fit, KEYS[:4], **options)
        assert count([found, *others]) == {expected: 4}, scale
        # Three of the errors that it tells of.
        np.testing.assert_allclose(found.z, [off, 0], atol=3 * found.error)
        np.testing.assert_allclose(found.sd_ratio, scale, atol=5 * found.error)
        assert 0.01 < found.error < 0.03


def test_twenty_entries():
    target = Gaussian(jnp.zeros(20), 0.9 * jnp.ones((20, 20)) + 0.1 * jnp.eye(20))
    right = at(np.zeros(20), target.covariance)
    one = np.ones(20)
    one[3] = 0.59
    narrow = at(np.zeros(20), target.covariance * np.outer(one, one))
    # The mean-field fit: all means right, .32 of every width.
    mean_field = at(np.zeros(20), np.eye(20) / np.linalg.inv(target.covariance)[0, 0])
    assert verdicts(target, right, KEYS[:2]) == {"no fault found": 2}
    for fit in (narrow, mean_field):
        assert "no fault found" not in verdicts(target, fit, KEYS[:2], **ALONE)


def test_skewed_targets():
    """A fit of .59 of one width is flagged; a skewness within the limits passes."""
    strong = Johnson(jnp.array(-2.0), jnp.array(1.5))
    mean, stdv = strong.moments()
    fit = at(mean - [0, 0.2 * stdv[1]], np.diag((stdv * [0.95, 0.59]) ** 2))
    assert verdicts(strong, fit, **ALONE) == {"fault found": 10}
    weak = Johnson(jnp.array(-1.0), jnp.array(6.0))
    mode = bjm.map_estimate(weak, plane(), key=KEYS[0], num_starts=2)
    fit = bjm.laplace(weak, mode.model)
    off = np.abs(np.asarray(fit.mean) - weak.moments()[0]) / weak.moments()[1]
    assert np.max(off) < 0.1
    assert np.max(np.abs(np.asarray(fit.stdv) / weak.moments()[1] - 1)) < 0.1
    assert verdicts(weak, fit) == {"no fault found": 10}


def test_michaelis_menten(x64):
    start = bjm.GaussianParameter(jnp.array([1.6, 1.7]), jnp.full(2, 0.5))
    mode = bjm.map_estimate(michaelis_menten, start, key=KEYS[0], num_starts=2)
    fit = bjm.laplace(michaelis_menten, mode.model)
    mean, stdv = michaelis_menten_moments()
    ratio = np.asarray(fit.stdv) / stdv
    np.testing.assert_allclose(ratio, 0.59, atol=0.02)
    [found, *others] = by_key(michaelis_menten, fit, **ALONE)
    assert count([found, *others]) == {"fault found": 10}
    np.testing.assert_allclose(found.sd_ratio, ratio, atol=0.05)
    np.testing.assert_allclose(found.z, (fit.mean - mean) / stdv, atol=0.1)
    assert 0 < found.num_failed < 30  # the natural scale ends at 0
    moments_right = at(mean, np.diag(stdv**2) + 0.9 * np.prod(stdv) * (1 - np.eye(2)))
    assert "fault found" not in verdicts(michaelis_menten, moments_right)


def test_a_second_mode_some_widths_away():
    """Widths of .3, three apart: the fit at one of them has .2 of the width."""
    away = jnp.array([[1.5, 0], [-1.5, 0]])
    target = TwoModes(jnp.full(2, 0.5), away, jnp.array([[0.3, 1.0], [0.3, 1.0]]))
    one, other = target.fits(plane())
    assert "no fault found" not in verdicts(target, one, **ALONE)
    assert verdicts(target, bjm.MixturePosterior([one, other])) == {
        "no fault found": 10
    }
    uneven = bjm.MixturePosterior([one, other], weights=[0.8, 0.2])
    assert verdicts(target, uneven, **ALONE) == {"fault found": 10}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_posterior_with_a_density(dtype, x64, key):
    """Also one with a known entry, and a target that is bounded."""
    target = TwoModes(
        jnp.asarray([0.75, 0.25], dtype),
        jnp.asarray([[-1, 0], [3, 0]], dtype),
        jnp.ones((2, 2), dtype),
    )
    fits = bjm.GaussianParameter(
        target.means, jnp.full((2, 2), (1 - 1e-4) ** 0.5, dtype)
    )
    members = bjm.ensemble(fits, weights=[3.0, 1.0])
    found = diagnose(target, members, key=key)
    assert found.trustworthy
    assert found.k_hat == -np.inf
    nested = bjm.MixturePosterior([members.member(0), members.member(1)], [3.0, 1.0])
    mixture = bjm.MixturePosterior([nested, nested], [1.0, 2.0])
    assert diagnose(target, mixture, key=key).trustworthy
    member = diagnose(target, members.member(0), key=key, **ALONE)
    assert member.verdict == "fault found"

    model = {"known": bjm.DeterministicParameter(jnp.ones(1, dtype)), "x": plane(dtype)}
    found = diagnose(
        lambda drawn: (norm.logpdf(drawn["x"].mean, 0.5 * drawn["known"].mean)).sum(),
        model,
        key=key,
        num_samples=1_000,
    )
    np.testing.assert_allclose(found.z, [-0.5, -0.5], atol=0.1)
    np.testing.assert_allclose(found.sd_ratio, [1, 1], atol=0.1)

    half = diagnose(
        lambda drawn: jnp.where(
            drawn.mean[0] > 0, norm.logpdf(drawn.mean).sum(), -jnp.inf
        ),
        plane(dtype),
        key=key,
        **ALONE,
    )
    mean, stdv = scipy.stats.halfnorm.stats(moments="mv")
    assert abs(half.num_failed - 500) < 80
    assert half.verdict == "fault found"
    np.testing.assert_allclose(half.z[0], -mean / stdv**0.5, atol=0.1)


def test_what_is_said(key):
    target = Gaussian(jnp.zeros(2), jnp.eye(2))
    right = bjm.diagnose(target, at([0, 0], np.eye(2)), key=key)
    with pytest.warns(
        UserWarning, match=r"fault found with 4000 .*sd ratios 0\.[45].*`importance`"
    ):
        wrong = bjm.diagnose(target, at([0, 0], 0.25 * np.eye(2)), key=key)
    with pytest.warns(UserWarning, match="cannot tell with 104 .*`num_samples`"):
        few = bjm.diagnose(banana, at([0, 1], np.eye(2)), key=key, num_samples=100)
    assert "Diagnosis: no fault found with 4000 draws" in repr(right)
    assert "the largest weights are all equal, as of an exact fit" in repr(right)
    assert right.num_evaluations == 4_000
    assert 3_000 < right.ess < 4_000
    assert not wrong.trustworthy
    assert few.verdict == "cannot tell"
    assert not few.trustworthy
    assert few.num_evaluations == 104
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(few))


def test_mistakes_are_named(key):
    wide = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    with pytest.raises(ValueError, match="at least 100, but got 5"):
        bjm.diagnose(banana, wide, key=key, num_samples=5)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        bjm.diagnose(banana, wide, key=key, batch_size=0)
    with pytest.raises(
        bjm.AllFailedError, match="`log_density` is finite for none of 1000"
    ):
        bjm.diagnose(lambda drawn: jnp.log(-1.0), wide, key=key)
    fixed = bjm.DeterministicParameter(jnp.zeros(2))
    with pytest.raises(ValueError, match="no parameter to infer"):
        bjm.diagnose(banana, fixed, key=key)
    draws = bjm.DrawsPosterior(banana_model(), jnp.zeros((10, 2)))
    with pytest.raises(NotImplementedError, match="DrawsPosterior.* fit that the eng"):
        bjm.diagnose(banana, draws, key=key)
