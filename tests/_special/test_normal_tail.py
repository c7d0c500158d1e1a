import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy.integrate import quad

from BayesianJaxModels._special.normal_tail import (
    log_hazard,
    log_ndtr,
    quantile,
    stretch,
)

TOLERANCES = [("float64", 2e-13), ("float32", 1e-6)]
A = np.array([0.0, 0.3, 1.0, 4.9, 5.1, 12.0, 40.0])


def exact_log_hazard(x):
    return -(x**2) / 2 - np.log(2 * np.pi) / 2 - special.log_ndtr(-x)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_log_hazard_and_its_slope(x64, dtype, tolerance):
    x = np.asarray(A, dtype)
    value, slope = jax.jit(lambda x: jax.jvp(log_hazard, (x,), (jnp.ones_like(x),)))(x)
    assert value.dtype == slope.dtype == dtype
    x = x.astype(float)
    # SciPy's loses a digit or two where two large numbers cancel.
    np.testing.assert_allclose(
        value, exact_log_hazard(x), rtol=tolerance, atol=tolerance
    )
    excess = np.exp(exact_log_hazard(x)) - x
    np.testing.assert_allclose(slope, excess, rtol=20 * tolerance, atol=1e-10)


def test_far_out_the_hazard_is_its_asymptotic_series(x64):
    x = jnp.array([1e3, 1e8, 1e100])
    value, slope = jax.jvp(log_hazard, (x,), (jnp.ones(3),))
    np.testing.assert_allclose(
        value, np.log(x) + np.log1p(x**-2.0 - 2 * x**-4.0), rtol=1e-15
    )
    np.testing.assert_allclose(slope, 1 / x, rtol=3e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_log_ndtr_and_its_slope(x64, dtype, tolerance):
    z = np.array([-1e4, -40, -13.5, -5, -1, -1e-3, 0, 0.7, 3, 5], dtype)
    value, slope = jax.jit(lambda z: jax.jvp(log_ndtr, (z,), (jnp.ones_like(z),)))(z)
    z = z.astype(float)
    expected = special.log_ndtr(z)
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    expected = np.exp(-(z**2) / 2 - np.log(2 * np.pi) / 2 - special.log_ndtr(z))
    expected[0] = 1e4 + 1e-4  # the difference cancels, the asymptotic series does not
    np.testing.assert_allclose(slope, expected, rtol=20 * tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("t", [1e-6, 0.02, 0.5, 3.0, np.inf])
def test_what_is_between_two_points_of_the_tail(x64, t, dtype, tolerance):
    a = np.asarray(A, dtype)
    found = jax.jit(stretch)(a, jnp.full_like(a, t))
    assert all(leaf.dtype == dtype for leaf in found)
    t = float(np.asarray(t, dtype))
    for i, start in enumerate(a.astype(float)):
        integral, _ = quad(
            lambda s, start=start: np.exp(-start * s - s * s / 2),
            *(0, min(t, 12)),
            **{"epsabs": 0, "epsrel": 1e-12, "points": [min(1 / max(start, 1), t) / 2]},
        )
        share = integral * np.exp(exact_log_hazard(start))
        np.testing.assert_allclose(found.share[i], share, rtol=10 * tolerance)
        if t == np.inf:
            assert found.hazard[i] == np.inf
        elif share < 0.99:
            hazard = -np.log1p(-share)
            np.testing.assert_allclose(found.hazard[i], hazard, rtol=50 * tolerance)
    np.testing.assert_allclose(
        found.log_start,
        exact_log_hazard(a.astype(float)),
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_the_share_up_to_a_quantile_is_the_share_asked_for(x64, dtype, tolerance):
    share, a, width = (
        x.ravel().astype(dtype)
        for x in np.meshgrid([1e-4, 0.3, 0.99], [0.0, 2.0, 30.0], [0.01, 1.0, np.inf])
    )
    t = jax.jit(quantile)(share, a, width)
    assert t.dtype == dtype
    assert np.all((t > 0) & (t < width))
    share_of = jax.jit(lambda a, t: stretch(a, t).share)
    found = share_of(a, t) / share_of(a, width)
    np.testing.assert_allclose(found, share, rtol=20 * tolerance)


def test_the_slopes_of_a_quantile_are_those_of_an_implicit_function(x64):
    point = jnp.array([0.4, 3.0, 0.8])
    slopes = jax.jit(jax.grad(quantile, argnums=(0, 1, 2)))(*point)
    steps = 1e-5 * jnp.concatenate([jnp.eye(3), -jnp.eye(3)])
    high, low = jnp.split(jax.jit(quantile)(*(point + steps).T), 2)
    np.testing.assert_allclose(slopes, (high - low) / 2e-5, rtol=1e-8)
