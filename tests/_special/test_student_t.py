import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from BayesianJaxModels._special.student_t import (
    student_t_log_density,
    student_t_log_survival,
)

Z, DF = (
    x.ravel()
    for x in np.meshgrid([-30.0, -2.0, -1e-3, 0.0, 0.5, 4.0, 100.0], [0.6, 1, 3, 40])
)
TOLERANCES = [("float64", 1e-12), ("float32", 2e-6)]


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_log_density_is_that_of_scipy(x64, dtype, tolerance):
    z, df = Z.astype(dtype), DF.astype(dtype)
    found = jax.jit(student_t_log_density)(z, df)
    assert found.dtype == dtype
    exact = stats.t.logpdf(z.astype(float), df.astype(float))
    np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_log_survival_is_that_of_scipy(x64, dtype, tolerance):
    z, df = Z.astype(dtype), DF.astype(dtype)
    found = jax.jit(student_t_log_survival)(z, df)
    assert found.dtype == dtype
    exact = np.log(stats.t.sf(z.astype(float), df.astype(float)))
    np.testing.assert_allclose(found, exact, rtol=10 * tolerance, atol=tolerance)


def test_survival_in_a_tail_where_the_probability_underflows(x64):
    """Far out it is the density times `z / df`."""
    df, z = jnp.array([2.0, 30.0, 200.0]), jnp.array([1e200, 1e30, 1e8])
    tail = student_t_log_density(z, df) + np.log(z / df)
    found = jax.jit(student_t_log_survival)(z, df)
    np.testing.assert_allclose(found, tail, rtol=1e-12)


@pytest.mark.parametrize("fn", [student_t_log_density, student_t_log_survival])
def test_slopes_by_value_and_degrees_of_freedom(x64, fn):
    z, df = jnp.array([-3.0, 0.4, 25.0]), jnp.array([1.5, 4.0, 9.0])
    for argnum in (0, 1):
        slope = jax.jit(jax.vmap(jax.grad(fn, argnum)))(z, df)
        steps = 1e-5 * jnp.eye(2)[argnum][:, None] * jnp.array([[[1.0]], [[-1.0]]])
        high, low = jax.jit(jax.vmap(fn))(*(jnp.stack([z, df]) + steps).swapaxes(0, 1))
        np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=2e-7, atol=1e-9)


def test_with_many_degrees_of_freedom_it_is_normal(x64):
    z, df = jnp.array([-2.0, 0.0, 3.0]), jnp.full(3, 1e12)
    found = student_t_log_density(z, df)
    np.testing.assert_allclose(found, stats.norm.logpdf(z), rtol=1e-11)
    found = jax.jit(student_t_log_survival)(z, df)
    np.testing.assert_allclose(found, stats.norm.logsf(z), rtol=1e-10)
    single = student_t_log_density(jnp.float32(2.0), jnp.float32(1e12))
    np.testing.assert_allclose(single, stats.norm.logpdf(2.0), rtol=1e-6)
