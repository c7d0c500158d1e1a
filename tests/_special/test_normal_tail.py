import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from BayesianJaxModels._special import log_ndtr, quantile, stretch
from BayesianJaxModels._special.normal_tail import log_hazard

# Numbers of this file are from mpmath, with sixty digits. A point, its log hazard, and
# by how much the hazard is above it.
HAZARDS = np.array(
    [
        (0.0, -0.22579135264472744, 0.7978845608028654),
        (0.5, 0.13197322838894587, 0.6410777703680645),
        (4.999, 1.6458733404669053, 0.18653666897418958),
        (5.0, 1.646059860784053, 0.1865039671258421),
        (5.001, 1.6462463484047656, 0.1864712761032594),
        (40.0, 3.6895034805491154, 0.024968847207263722),
    ]
)
# Where a stretch begins, its length, the hazard over it and its share of the tail.
STRETCHES = np.array(
    [
        (0.0, 1e-8, 7.978845639859642e-09, 7.978845608028653e-09),
        (0.0, 0.5, 0.4827645810336733, 0.3829249225480262),
        (0.0, 3.0, 5.914579040950405, 0.9973002039367398),
        (0.5, 2.0, 3.905736515685072, 0.9798738741761632),
        (5.0, 0.1, 0.5234886978827419, 0.407549940851776),
        (5.0, 0.25, 1.3268816160490675, 0.7346967097848764),
        (30.0, 0.01, 0.30038254149794147, 0.25946511883210777),
        (30.0, 1.0, 30.53271967083609, 0.999999999999945),
        (1e3, 1e-6, 0.0010000010004979996, 0.0009995011661230093),
        (1e3, 0.5, 500.1254998740424, 1.0),
    ]
)
LOG_NDTR = np.array(
    [
        (-1e3, -500007.82669481216),
        (-37.5, -707.6689893175072),
        (-5.0, -15.064998393988725),
        (-0.5, -1.1759117615936185),
        (0.0, -0.6931471805599453),
        (0.5, -0.3689464152886564),
        (5.0, -2.866516129637636e-07),
        (8.0, -6.220960574271786e-16),
    ]
)


def with_slopes(function, *args):
    """A value, and the slope by the first argument, entry by entry."""
    return jax.jvp(
        lambda x: function(x, *args[1:]), args[:1], (jnp.ones_like(args[0]),)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_hazard_on_both_sides_of_where_the_fraction_begins(dtype, x64):
    x = HAZARDS[:, 0].astype(dtype)
    value, slope = with_slopes(log_hazard, jnp.asarray(x))
    rtol = 16 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(value, HAZARDS[:, 1], rtol=rtol, atol=rtol)
    # The hazard's own logarithm grows by what it is above the point.
    np.testing.assert_allclose(slope, HAZARDS[:, 2], rtol=100 * rtol)


def test_the_slope_of_the_hazard_has_a_slope(x64):
    x, above = jnp.asarray(HAZARDS[:, 0]), HAZARDS[:, 2]

    def slope(x):
        return with_slopes(log_hazard, x)[1]

    second = with_slopes(slope, x)[1]
    expected = (HAZARDS[:, 0] + above) * above - 1
    np.testing.assert_allclose(second, expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stretches_short_and_long_near_and_far(dtype, x64):
    a, t = STRETCHES[:, :2].astype(dtype).T
    found = stretch(jnp.asarray(a), jnp.asarray(t))
    # The length is rounded, and the hazard goes with it.
    rtol = 16 * jnp.finfo(dtype).eps if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found.hazard, STRETCHES[:, 2], rtol=rtol)
    np.testing.assert_allclose(found.share, STRETCHES[:, 3], rtol=rtol)


def test_a_stretch_without_an_end_is_all_of_the_tail(x64):
    a = jnp.array([0.0, 3.0, 1e4])
    found = stretch(a, jnp.full(3, jnp.inf))
    np.testing.assert_array_equal(found.hazard, np.inf)
    np.testing.assert_array_equal(found.share, 1)
    np.testing.assert_allclose(found.log_start, log_hazard(a), rtol=1e-15)
    slopes = jax.grad(lambda a: jnp.sum(stretch(a, jnp.full(3, jnp.inf)).share))(a)
    np.testing.assert_array_equal(slopes, 0)


def test_quantiles_are_those_of_scipy_and_come_back(x64):
    share = jnp.array([1e-9, 0.1, 0.5, 0.9, 1 - 1e-9])
    for a, width in [(0.0, np.inf), (0.0, 0.5), (2.0, np.inf), (2.0, 3.0)]:
        like = jnp.ones(5)
        found = quantile(share, a * like, width * like)
        below, above = scipy.special.ndtr([-a, -(a + width)])
        tail = below - share * (below - above)
        expected = -scipy.special.ndtri(np.asarray(tail)) - a
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-15)
    for a, width in [(0.0, 1e-6), (30.0, np.inf), (1e4, np.inf), (1e4, 1e-9)]:
        found = quantile(share, a * like, width * like)
        part = stretch(a * like, found).share / stretch(a * like, width * like).share
        np.testing.assert_allclose(part, share, rtol=1e-12)


def test_a_quantile_moves_as_an_implicit_function(x64):
    """By its share: one over the density there, in parts of the whole."""
    share, a = jnp.array([0.2, 0.9]), jnp.array([1.5, 20.0])
    for width in (np.inf, 0.25):
        width = jnp.full(2, width)
        found, slope = with_slopes(quantile, share, a, width)
        whole = stretch(a, width)
        density = jnp.exp(whole.log_start - found * (a + found / 2))
        np.testing.assert_allclose(slope, whole.share / density, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_ndtr_and_its_slope_far_into_both_tails(dtype, x64):
    z = LOG_NDTR[:, 0].astype(dtype)
    value, slope = with_slopes(log_ndtr, jnp.asarray(z))
    rtol = 64 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(value, LOG_NDTR[:, 1], rtol=rtol)
    expected = np.exp(scipy.stats.norm.logpdf(LOG_NDTR[:, 0]) - LOG_NDTR[:, 1])
    expected[0] = 1e3 + 1e-3 - 2e-9  # the first terms of the hazard
    np.testing.assert_allclose(slope, expected, rtol=100 * rtol)
