import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm


def test_a_laplace_density_falls_alike_on_both_sides(x64):
    x = np.array([-1e300, -3.0, 0.5, 0.5 + 1e-9, 2.0, 1e300])
    scale = np.array([1e299, 2.0, 1e-200, 1e-9, 0.25, 1e-5])
    prior = bjm.priors.Laplace(0.5, scale)
    expected = -np.abs(x - 0.5) / scale - np.log(2 * scale)
    found = prior.log_density(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    slope = jax.grad(lambda x: jnp.sum(prior.log_density(x)))(jnp.asarray(x))
    is_apart = x != 0.5
    expected = (-np.sign(x - 0.5) / scale)[is_apart]
    np.testing.assert_allclose(slope[is_apart], expected, rtol=1e-15)


def test_the_divergence_from_a_laplace_prior_is_its_integral(x64):
    q = bjm.LaplacianParameter(jnp.array([0.3, -1.0]), jnp.array([0.5, 0.9]))
    prior = bjm.priors.Laplace(np.array([0.0, -1.0]), 2.0)
    expected = 0
    for m, s, mean in zip(q.mean.tolist(), q.scale.tolist(), [0.0, -1.0], strict=True):
        of_q, of_prior = scipy.stats.laplace(m, s), scipy.stats.laplace(mean, 2.0)
        expected += scipy.integrate.quad(
            lambda x, q=of_q, p=of_prior: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)),
            *(m - 60 * s, m + 60 * s),
            points=sorted({m, mean}),
            limit=200,
        )[0]
    np.testing.assert_allclose(prior.kl_from(q), expected, rtol=1e-10)


def test_what_has_no_closed_form_is_refused():
    prior = bjm.priors.Laplace()
    with pytest.raises(NotImplementedError, match="of a GaussianParameter from a Lapl"):
        prior.kl_from(bjm.make_parameter(0.0))
    with pytest.raises(NotImplementedError, match=r"of a Laplace is .*kl='sampled'"):
        prior.mean_log_density(jnp.zeros(1), jnp.ones(1))
