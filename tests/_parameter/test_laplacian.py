import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from jax.scipy import stats

from BayesianJaxModels import GaussianParameter, LaplacianParameter

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_laplacian_density_and_width():
    parameter = LaplacianParameter(MEAN, RAW)
    scale = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.scale, scale, rtol=1e-6)
    np.testing.assert_allclose(parameter.stdv, np.sqrt(2) * scale, rtol=1e-6)
    expected = stats.laplace.logpdf(VALUE, MEAN, scale).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(np.log(2 * np.e * s) for s in np.asarray(scale))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"`raw_scale` has shape \(\), but \(2,\) was"):
        LaplacianParameter(MEAN, 0.1)


def test_normal_numbers_become_laplace_numbers_at_the_same_quantile(x64):
    """Far out, where a difference from 1 is nothing, and the other way at 0."""
    normal = np.array([-37.0, -3.0, -1e-8, 0.0, 0.5, 3.0, 37.0])
    parameter = LaplacianParameter(jnp.zeros(7), jnp.ones(7))
    found = parameter.noise_from_normal(jnp.asarray(normal))
    tail = scipy.special.log_ndtr(-np.abs(normal)) + np.log(2)
    np.testing.assert_allclose(found, -np.sign(normal) * tail, rtol=1e-10, atol=1e-16)
    mirrored = parameter.noise_from_normal(-jnp.asarray(normal))
    np.testing.assert_array_equal(mirrored, -found)


def test_the_divergence_between_two_is_its_integral(x64):
    mean, raw = np.array([0.3, -1.0]), np.array([0.5, 0.7])
    q, p = LaplacianParameter(mean, raw), LaplacianParameter(-mean, 2 * raw)
    expected = 0
    for m, s, mean, scale in zip(q.mean, q.scale, p.mean, p.scale, strict=True):
        of_q, of_p = scipy.stats.laplace(m, s), scipy.stats.laplace(mean, scale)
        expected += scipy.integrate.quad(
            lambda x, q=of_q, p=of_p: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)),
            *(m - 40 * s, m + 40 * s),
            points=sorted({float(m), float(mean)}),
            limit=200,
        )[0]
    np.testing.assert_allclose(p.kl_from(q), expected, rtol=1e-10)
    np.testing.assert_allclose(q.kl_from(q), 0, atol=1e-15)
    with pytest.raises(NotImplementedError, match="GaussianParameter from a Laplace"):
        p.kl_from(GaussianParameter(MEAN, RAW))
