"""A plain model as a posterior, against SciPy's independent distributions."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels._posterior import as_posterior, moments

NORMAL_STDV, LAPLACE_STDV = np.array([0.3, 2.0]), 0.7
NORMAL = scipy.stats.norm([0.5, -1.0], NORMAL_STDV)
LAPLACE = scipy.stats.laplace(3.0, LAPLACE_STDV / 2**0.5)


def model_of():
    normal = bjm.GaussianParameter(jnp.array([0.5, -1.0]), jnp.ones(2))
    laplace = bjm.LaplacianParameter(jnp.array(3.0), jnp.array(1.0))
    return {
        "a": normal.with_stdv(jnp.asarray(NORMAL_STDV)),
        "b": laplace.with_stdv(jnp.asarray(LAPLACE_STDV)),
        "known": bjm.DeterministicParameter(jnp.array([7.0])),
    }


def exact_log_prob(drawn):
    a, b = np.asarray(drawn["a"].mean), np.asarray(drawn["b"].mean)
    return NORMAL.logpdf(a).sum() + LAPLACE.logpdf(b)


def test_posteriors_stay_and_models_are_wrapped():
    model = model_of()
    posterior = as_posterior(model)
    assert posterior.model is model
    assert as_posterior(posterior) is posterior
    joint = bjm.JointPosterior.full(model, 0.1)
    assert as_posterior(joint) is joint


def test_density_and_entropy_are_sums_over_the_parameters(x64, key):
    posterior = as_posterior(model_of())
    drawn = posterior.draw(key)
    np.testing.assert_allclose(
        posterior.log_prob(drawn), exact_log_prob(drawn), rtol=1e-12
    )
    entropy = NORMAL.entropy().sum() + LAPLACE.entropy()
    np.testing.assert_allclose(posterior.entropy(), entropy, rtol=1e-12)
    same, log_prob = posterior.draw_and_log_prob(key)
    np.testing.assert_allclose(
        bjm.flatten_means(same), bjm.flatten_means(drawn), rtol=1e-14
    )
    np.testing.assert_allclose(log_prob, exact_log_prob(drawn), rtol=1e-12)


def test_normal_numbers_make_draws_and_their_negatives_the_mirrored_ones(x64):
    posterior = as_posterior(model_of())
    assert posterior.noise_size == 3
    normal = jnp.array([0.3, -1.2, 0.8])
    drawn, log_prob = posterior.displaced_and_log_prob(normal)
    np.testing.assert_allclose(
        drawn["a"].mean, NORMAL.mean() + NORMAL_STDV * normal[:2], rtol=1e-14
    )
    share = scipy.stats.norm.cdf(normal[2])
    np.testing.assert_allclose(drawn["b"].mean, LAPLACE.ppf(share), rtol=1e-12)
    np.testing.assert_allclose(log_prob, exact_log_prob(drawn), rtol=1e-12)
    other, log_prob = posterior.displaced_and_log_prob(-normal)
    both = (bjm.flatten_means(drawn) + bjm.flatten_means(other)) / 2
    np.testing.assert_allclose(both, [0.5, -1.0, 3.0, 7.0], rtol=1e-14)
    np.testing.assert_allclose(log_prob, exact_log_prob(other), rtol=1e-12)


def test_the_mean_of_a_log_prior_is_that_of_its_square(x64):
    """Of a normal prior of sd 2 around 1."""
    mean = np.array([0.5, -1.0, 3.0])
    square = (mean - 1) ** 2 + np.array([*NORMAL_STDV, LAPLACE_STDV]) ** 2
    of_known = {"['known']": bjm.priors.Normal(5.0, 1.0)}
    exact = np.sum(-square / 8 - np.log(2) - np.log(2 * np.pi) / 2)
    exact += scipy.stats.norm(5, 1).logpdf(7)
    prior = bjm.Prior(of_known, default=bjm.priors.Normal(1.0, 2.0))
    found = as_posterior(model_of()).mean_log_prior(prior)
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_moments_are_doubles_without_what_is_known():
    model = model_of()
    assert model["a"].mean.dtype == jnp.float32
    for posterior in (model, as_posterior(model)):
        mean, covariance = moments(posterior)
        assert mean.dtype == covariance.dtype == np.float64
        np.testing.assert_array_equal(mean, [0.5, -1.0, 3.0])
        variances = [*NORMAL_STDV**2, LAPLACE_STDV**2]
        np.testing.assert_allclose(covariance, np.diag(variances), rtol=5e-7)


class Unknown(bjm.AbstractPosterior):
    model: bjm.AbstractParameter

    def draw(self, key):
        return self.model


def test_a_point_and_unknown_moments_are_refused():
    model = bjm.make_parameter([0.5, 2.0])
    arrays = np.zeros(1), np.zeros((1, 2)), np.zeros(1, bool), np.ones(1, bool)
    estimate = bjm.MAPEstimate(
        model,
        np.zeros(()),
        *arrays,
        outcomes=("converged",),
        noise=np.zeros(1),
        num_redrawn=0,
        modes=(),
    )
    with pytest.raises(
        TypeError, match="A MAPEstimate is no posterior.*`laplace.log_dens"
    ):
        as_posterior(estimate)
    with pytest.raises(NotImplementedError, match="moments of a Unknown"):
        moments(Unknown(model))
