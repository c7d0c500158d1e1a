"""Where chains start."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._nuts.starts import MAX_TRIES, _allot, find_starts
from tests._infer._nuts.cases import GAUSSIAN, PRIOR, D, Model, start, target


@pytest.mark.parametrize(
    ("shares", "num_chains", "wanted"),
    [
        ([1.0], 4, [0, 0, 0, 0]),
        ([0.88, 0.12], 4, [0, 0, 0, 1]),
        ([0.12, 0.88], 2, [0, 1]),
        ([0.2, 0.5, 0.3], 2, [1, 2]),
        ([0.995, 0.005], 4, [0, 0, 0, 0]),
        ([0.5, 0.5, 0.0], 5, [0, 0, 0, 1, 1]),
        ([0.005] * 200, 2, [0, 1]),
    ],
)
def test_chains_are_allotted_by_mass(shares, num_chains, wanted):
    assert sorted(_allot(np.asarray(shares), num_chains)) == wanted


def test_chains_start_at_spread_draws_of_the_start(key):
    stdv = np.arange(1.0, D + 1)
    mean = jnp.ones(D)
    wide = Model(bjm.GaussianParameter(mean, jnp.sqrt(stdv - 1e-4).astype(mean.dtype)))
    found = find_starts(wide, 2, 3.0, None, key)
    z = (found.points - 1) / stdv
    assert stats.kstest(np.ravel(z) / 3, "norm").pvalue > 0.01
    assert not np.any(z[0] == z[1])
    np.testing.assert_allclose(found.covariance, 9 * np.diag(stdv**2), rtol=1e-6)
    # Of half-Cauchy numbers the widths are those of the middle two thirds.
    heavy = bjm.Prior(default=bjm.priors.HalfCauchy(2.0))
    found = find_starts(wide, 2, 3.0, heavy, key)
    exact = stats.halfcauchy(scale=2)
    assert stats.kstest(np.ravel(found.points), exact.cdf).pvalue > 0.01
    widths = np.sqrt(np.diagonal(found.covariance))
    wanted = (exact.ppf(0.84) - exact.ppf(0.16)) / 2
    np.testing.assert_allclose(widths, wanted, rtol=0.6)


class Two(bjm.Module):
    a: bjm.AbstractParameter
    b: bjm.AbstractParameter


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_widths_that_were_never_fitted_are_refused(precision, request, key):
    if precision == "float64":
        request.getfixturevalue("x64")
    fresh = bjm.make_parameter(jnp.ones(2))
    fitted = bjm.make_parameter(jnp.ones(2), init_raw_stdv=0.5)
    laplacian = bjm.make_parameter(jnp.ones(2), param_type=bjm.LaplacianParameter)
    mixture = bjm.MixturePosterior([Two(fitted, fitted), Two(fresh, fresh)])
    starts = [
        (Two(fresh, fresh), r"\['a', 'b'\]"),
        (Two(fitted, fresh), r"\['b'\]"),
        (Two(fitted, laplacian), r"\['b'\]"),
        (mixture, r"\['a', 'b'\]"),
    ]
    for refused, names in starts:
        with pytest.raises(ValueError, match=rf"The widths of {names} in `start`"):
            bjm.nuts(target(GAUSSIAN), refused, key=key)
    joint = bjm.JointPosterior.full(Two(fresh, fresh), 0.1)
    for taken in (Two(fitted, fitted), joint):
        find_starts(taken, 2, 2.0, None, key)
    # With a prior, the fitted widths stay.
    found = find_starts(Two(fitted, fresh), 2, 2.0, PRIOR, key)
    widths = np.sqrt(np.diagonal(found.parts[0].covariance))
    np.testing.assert_allclose(widths[:2], 0.2501, rtol=1e-6)
    np.testing.assert_allclose(widths[2:], 5, rtol=0.3)


def test_starts_around_a_mixture_have_its_total_covariance(key):
    """Of three chains in one component and one in the other."""
    modes = [start(6.0, 0.5), start(-6.0, 2.0)]
    mixture = bjm.MixturePosterior(modes, [0.75, 0.25])
    found = find_starts(mixture, 4, 3.0, None, key)
    assert found.of_chain == [0, 0, 0, 1]
    within = 9 * (3 * 0.5**2 + 2.0**2) / 4
    # Means of 6 thrice and of -6 once: a variance of 27.
    exact = np.diag([within + 27, *np.full(D - 1, 9.0)])
    np.testing.assert_allclose(found.covariance, exact, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.factors[1], np.diag([2, *np.ones(D - 1)]), 1e-6)
    for part, mean, share in zip(found.parts, (6, -6), (0.75, 0.25), strict=True):
        assert part.share == share
        np.testing.assert_array_equal(part.mean, [mean, *np.zeros(D - 1)])
    z = (found.points[3, :, 0] + 6) / (3 * 2.0)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert found.points.shape == (4, MAX_TRIES, D)


def test_a_chain_starts_where_it_does_however_many_there_are(key):
    few, many = (find_starts(start(), n, 2.0, None, key) for n in (2, 5))
    np.testing.assert_array_equal(many.points[:2], few.points)


def test_a_start_without_a_width_is_refused(key):
    known = bjm.JointPosterior(
        Model(bjm.make_parameter(jnp.zeros(2))),
        bjm.make_parameter(jnp.zeros(2)),
        jnp.array([[1.0, 1.0], [1.0, 1.0]]),
    )
    with pytest.raises(ValueError, match="covariance must be finite and positive def"):
        find_starts(known, 2, 2.0, None, key)
