import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from BayesianJaxModels import (
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_gaussian_density_and_width():
    parameter = GaussianParameter(MEAN, RAW)
    stdv = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.stdv, stdv, rtol=1e-6)
    expected = stats.norm.logpdf(VALUE, MEAN, stdv).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(0.5 * np.log(2 * np.pi * np.e * s**2) for s in np.asarray(stdv))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has shape \(1,\), but \(2,\) was"
    ):
        GaussianParameter(MEAN, jnp.ones(1))
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has dtype float16, but `mean` has"
    ):
        GaussianParameter(MEAN, RAW.astype(jnp.float16))


def test_its_root_is_diagonal_and_its_noise_one_number_an_entry():
    parameter = GaussianParameter(jnp.ones((2, 1)), RAW[:, None])
    assert parameter.group == "gaussian"
    assert parameter.noise_size == 2
    np.testing.assert_allclose(parameter.root, np.diag(RAW**2 + 1e-4), rtol=1e-6)
    spread = parameter.spread(jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(spread, parameter.stdv * np.array([[2.0], [-1.0]]))
    np.testing.assert_allclose(parameter.whiten(spread), [2.0, -1.0], rtol=1e-6)


def test_the_divergence_asks_what_it_is_taken_of(x64):
    p, q = GaussianParameter(MEAN, RAW), LaplacianParameter(VALUE, RAW)
    expected = q.kl_to_normal(p.mean, p.stdv)
    np.testing.assert_array_equal(p.kl_from(q), expected)
    with pytest.raises(NotImplementedError, match="DeterministicParameter from a norm"):
        p.kl_from(DeterministicParameter(MEAN))
