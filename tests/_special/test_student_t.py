import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from BayesianJaxModels._special import student_t_log_density, student_t_log_survival

log_density, log_survival = map(
    jax.jit, (student_t_log_density, student_t_log_survival)
)
# From mpmath, with sixty digits: degrees of freedom, value, log density, log survival.
EXACT = np.array(
    [
        (0.125, 0.5, -2.431589744884552, -0.8312554476365788),
        (0.125, 1e6, -18.525755577413527, -2.6308034777693505),
        (1.0, 1e200, -922.1787670834676, -461.6617484846585),
        (4.0, 1e30, -342.90285729931884, -275.21159887061737),
        (4.0, -3.0, -3.9274667438658417, -0.020173099629157313),
        (30.0, 40.0, -62.851907963527964, -62.54623464729917),
        (1e4, -2.0, -2.9187635998499712, -0.023026722045858816),
        (1e4, 30.0, -431.85053358658683, -435.16666109325945),
        (1e8, 1.0, -1.4189385382046726, np.nan),
        (1e12, 5.0, -13.418938533061173, np.nan),
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_density_and_survival_from_heavy_tails_to_normal_ones(dtype, x64):
    exact = EXACT[EXACT[:, 1] < 1e30] if dtype == "float32" else EXACT
    df, z = exact[:, :2].astype(dtype).T
    rtol = 4e-6 if dtype == "float32" else 1e-13
    density = log_density(jnp.asarray(z), jnp.asarray(df))
    np.testing.assert_allclose(density, exact[:, 2], rtol=rtol)
    is_known = ~np.isnan(exact[:, 3])
    df, z = jnp.asarray(df[is_known]), jnp.asarray(z[is_known])
    survival = log_survival(z, df)
    np.testing.assert_allclose(survival, exact[is_known, 3], rtol=rtol, atol=rtol / 10)
    assert density.dtype == survival.dtype == dtype


def test_below_and_above_make_one(x64):
    z = jnp.array([[0.0, 1e-8, 0.5, 2.0, 30.0]])
    df = jnp.broadcast_to(jnp.array([[0.1], [3.0], [200.0]]), (3, 5))
    z = jnp.broadcast_to(z, (3, 5))
    above, below = log_survival(z, df), log_survival(-z, df)
    np.testing.assert_allclose(np.exp(above) + np.exp(below), 1, rtol=1e-14)
    np.testing.assert_allclose(above[:, 0], np.log(0.5), rtol=1e-13)


def test_the_survival_falls_by_the_density(x64):
    z = jnp.array([-20.0, -1.0, 0.25, 4.0, 1e10])
    df = jnp.array([2.0, 0.5, 9.0, 1e3, 3.0])
    survival, slope = jax.jvp(lambda z: log_survival(z, df), (z,), (jnp.ones(5),))
    expected = -jnp.exp(log_density(z, df) - survival)
    np.testing.assert_allclose(slope, expected, rtol=1e-11)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-11)])
def test_the_density_has_the_slope_of_digamma_functions(dtype, rtol, x64):
    df, z = jnp.array([0.02, 1.0, 4.0, 50.0], dtype), jnp.array([3, -0.5, 2, 7], dtype)
    ones = jnp.ones_like(df)
    slope = jax.jvp(lambda df: log_density(z, df), (df,), (ones,))[1]
    df, z = np.asarray(df, float), np.asarray(z, float)
    digamma, square = scipy.special.digamma, z**2 / df
    constant = (digamma((df + 1) / 2) - digamma(df / 2) - 1 / df) / 2
    decay = np.log1p(square) / 2 - (df + 1) / (2 * df) * square / (1 + square)
    np.testing.assert_allclose(slope, constant - decay, rtol=rtol)
