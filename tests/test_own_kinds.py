"""A parameter type written here goes wherever its abilities allow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from tests._infer.targets import Gaussian
from tests.registry import LogisticParameter

MEAN, SCALE = np.array([0.4, -1.0]), np.array([0.3, 0.5])
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.8]])


class AbleLogistic(LogisticParameter):
    """With draws from given noise and a covariance that is known."""

    @property
    def noise_size(self):
        return self.mean.size

    def displaced(self, normal):
        share = jax.scipy.stats.norm.cdf(normal).reshape(self.shape)
        return self.mean + self.scale * jax.scipy.special.logit(share)

    @property
    def root(self):
        return jnp.diag(self.stdv.ravel())


@pytest.fixture
def own(x64):
    return AbleLogistic(jnp.asarray(MEAN), jnp.log(jnp.asarray(SCALE)))


@pytest.fixture
def target(x64):
    return Gaussian(jnp.array([0.5, -0.8]), jnp.asarray(COVARIANCE))


def test_groups_and_divergences(own):
    assert bjm.get_parameter_groups([own])["able_logistic"] == ["[0]"]
    normal = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))
    expected = 0.0
    for mean, scale, stdv in zip(MEAN, SCALE, np.asarray(normal.stdv), strict=True):
        q, p = scipy.stats.logistic(mean, scale), scipy.stats.norm(0, stdv)
        expected += scipy.integrate.quad(
            lambda x, q=q, p=p: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -20, 20
        )[0]
    np.testing.assert_allclose(bjm.kl_divergence(own, normal), expected, rtol=1e-7)
    joint = bjm.MultivariateGaussianParameter.from_covariance(
        jnp.zeros(2), jnp.diag(normal.stdv**2)
    )
    np.testing.assert_allclose(bjm.kl_divergence(own, joint), expected, rtol=1e-7)
    prior = bjm.Prior(default=bjm.priors.Normal(0.0, normal.stdv))
    np.testing.assert_allclose(bjm.kl_to_prior(own, prior), expected, rtol=1e-7)


def test_every_bound(own, target, key):
    """All ways to draw agree on the mean of a quadratic function."""
    centre, precision = np.asarray(target.mean), np.linalg.inv(COVARIANCE)
    gap, variances = MEAN - centre, (SCALE * np.pi / 3**0.5) ** 2
    square = gap @ precision @ gap + np.diagonal(precision) @ variances
    exact = -0.5 * (square + np.log(np.linalg.det(2 * np.pi * COVARIANCE)))
    prior = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))

    @eqx.filter_jit
    def bounds(own, key):
        return {
            draws: bjm.elbo(
                own,
                target,
                prior=prior,
                key=key,
                num_samples=4_096,
                draws=draws,
                **more,
            )
            for draws, more in (
                ("independent", {"kl": "analytic"}),
                ("antithetic", {"stick_the_landing": True}),
                ("sobol", {}),
            )
        }

    found = bounds(own, key)
    for draws, bound in found.items():
        atol = 0.1 if draws == "independent" else 0.06
        np.testing.assert_allclose(bound.log_likelihood, exact, atol=atol)
    np.testing.assert_allclose(found["sobol"].kl, found["independent"].kl, atol=0.02)


def test_every_engine(own, target, key):
    """What they find is the target, whose moments are known."""
    right = {"mean": target.mean, "covariance": COVARIANCE}
    mode = bjm.map_estimate(target, own, key=key, num_starts=4)
    np.testing.assert_allclose(mode.model.mean, right["mean"], atol=1e-5)
    for fit in (
        bjm.laplace(target, mode),
        bjm.linear_response(target, own),
    ):
        np.testing.assert_allclose(fit.covariance, right["covariance"], rtol=1e-9)
    members = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), own)
    for start in (
        own,
        bjm.JointPosterior(own, own),
        bjm.MixturePosterior([own, bjm.GaussianParameter(own.mean, own.mean)]),
        bjm.ensemble(members),
    ):
        fit = bjm.importance(target, start, key=key, num_samples=1_000, num_rounds=3)
        mean, covariance = fit.moments()
        np.testing.assert_allclose(mean, right["mean"], atol=0.1)
        np.testing.assert_allclose(covariance, right["covariance"], atol=0.1)
    chains = bjm.nuts(
        target, own, key=key, num_chains=4, num_warmup=200, num_samples=500
    )
    np.testing.assert_allclose(chains.moments()[0], right["mean"], atol=0.15)
    told = bjm.diagnose(target, bjm.JointPosterior.gaussian(own, COVARIANCE), key=key)
    assert told.z.shape == (2,)


def test_a_joint_of_ones_own(own):
    """The covariance of a joint posterior is that of its own root."""
    basis = jnp.array([[1.0, 0.5], [0.0, 2.0]])
    joint = bjm.JointPosterior(own, own, basis)
    expected = basis @ jnp.diag(own.stdv**2) @ basis.T
    np.testing.assert_allclose(joint.covariance, expected, rtol=1e-12)
    draws = jax.vmap(lambda key: bjm.flatten_means(joint.draw(key)))(
        random.split(random.key(1), 20_000)
    )
    np.testing.assert_allclose(np.cov(draws.T), expected, rtol=0.1, atol=0.05)


class Mirrored(bjm.AbstractPosterior):
    """A mean-field model seen in a mirror: every entry has the other sign."""

    model: bjm.AbstractParameter

    def _mirror(self, drawn):
        return bjm.unflatten_means(drawn, -bjm.flatten_means(drawn))

    def draw(self, key):
        return self._mirror(bjm.sample_all_parameters(self.model, key))

    def log_prob(self, drawn):
        return self.model.log_prob(self._mirror(drawn).mean)

    def entropy(self):
        return self.model.entropy()

    def moments(self):
        return -self.model.mean, jnp.diag(self.model.stdv**2)

    def draw_and_log_prob(self, key, path_only=False):
        value, log_prob = self.model.sample_and_log_prob(key, path_only)
        return bjm.unflatten_means(self.model, -value), log_prob


def test_a_posterior_of_ones_own(x64, key):
    """Every verb that its methods allow, and an error that names the one it lacks."""
    covariance = jnp.diag(jnp.array([0.25, 0.09]))
    target = Gaussian(jnp.array([0.5, -0.8]), covariance)
    exact = bjm.GaussianParameter(jnp.array([-0.5, 0.8]), jnp.array([0.5, 0.3]) ** 0.5)
    posterior = Mirrored(exact.with_stdv(jnp.array([0.5, 0.3])))

    def loss(posterior):
        bound = bjm.elbo(posterior, target, prior=None, key=key, num_samples=64)
        return bound.value

    # Target and posterior are one, so that every draw says the evidence, 0.
    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(loss))(posterior)
    np.testing.assert_allclose(value, 0, atol=1e-12)
    assert np.all(np.abs(gradient.model.mean) < 1)
    with pytest.raises(NotImplementedError, match="A Mirrored has no `noise_size`"):
        bjm.elbo(posterior, target, prior=None, key=key, num_samples=4, draws="sobol")
    normal = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))
    with pytest.raises(NotImplementedError, match="no `mean_log_prior`"):
        bjm.elbo(posterior, target, prior=normal, key=key, num_samples=4, kl="analytic")
    found = bjm.diagnose(target, posterior, key=key, num_samples=400, num_searches=0)
    assert found.trustworthy
    np.testing.assert_allclose(found.k_hat, -np.inf)
    mixture = bjm.MixturePosterior([posterior, exact], weights=[1.0, 0.0])
    for start in (posterior, mixture):
        fit = bjm.importance(target, start, key=key, num_samples=400, num_rounds=2)
        np.testing.assert_allclose(fit.moments()[0], target.mean, atol=0.1)
    with pytest.raises(ValueError, match="made of draws, but this is a Mirrored"):
        bjm.map_posterior(lambda m: m.mean, posterior, key=key, num_samples=None)


class Two(bjm.AbstractPosterior):
    """Two points with weights: draws that are no `DrawsPosterior`."""

    model: bjm.AbstractParameter | bjm.AbstractVectorField

    @property
    def num_items(self):
        return 2

    @property
    def item_weights(self):
        return jnp.array([0.25, 0.75])

    def item(self, index):
        values = bjm.flatten_means(self.model)
        return bjm.unflatten_means(self.model, values + index.astype(values.dtype))

    def draw(self, key):
        return self.item(jax.random.bernoulli(key, 0.75))


class Decay(bjm.AbstractVectorField):
    rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.mean[0] * y


def test_draws_of_ones_own(own, key):
    """They are taken once each, in order, and trajectories carry their weights."""
    points = Two(own)
    found = bjm.map_posterior(lambda m: m.mean, points, key=key, num_samples=None)
    np.testing.assert_allclose(found, MEAN + np.array([[0.0], [1.0]]))
    trajectory = bjm.posterior_trajectories(
        Two(Decay(own)), jnp.ones(1), jnp.array([0.0, 1.0]), key=key, num_samples=None
    )
    np.testing.assert_allclose(trajectory.weights, [0.25, 0.75])
    np.testing.assert_allclose(
        trajectory.ys[:, -1, 0], np.exp(-MEAN[0] - np.arange(2.0)), rtol=1e-4
    )
    pytest.importorskip("arviz_base")
    with pytest.raises(ValueError, match="must be a number for draws with weights"):
        bjm.posterior_to_datatree(points, key=key, num_samples=None)
