"""One distribution over all entries of a model, against SciPy's dense normal one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import JointPosterior

from ..registry import LogisticParameter

COVARIANCE = np.array(
    [
        [1.0, -0.6, 0.1, 0.2],
        [-0.6, 2.0, 0.3, 0.0],
        [0.1, 0.3, 0.5, 0.1],
        [0.2, 0, 0.1, 3],
    ]
)


def model_of():
    return {
        "rates": bjm.make_parameter([0.5, -1.0], init_raw_stdv=0.3),
        "sites": [bjm.make_parameter([[2.0, 3.0]], param_type=bjm.LaplacianParameter)],
    }


def random_basis(key):
    return jnp.eye(4) + 0.3 * random.normal(key, (4, 4))


KINDS = ["full", "low rank, basis", "independent, basis", "gaussian"]


def kinds(key):
    """A posterior of each kind, away from its start."""
    moved = 0.3 * random.normal(key, (4,))
    full = bjm.MultivariateGaussianParameter.from_covariance(moved, COVARIANCE)
    factor = random.normal(key, (4, 2))
    low_rank = bjm.LowRankGaussianParameter(moved, jnp.full(4, 0.6), factor)
    independent = bjm.GaussianParameter(moved, jnp.array([0.4, 0.8, 1.0, 1.2]))
    return {
        "full": JointPosterior(model_of(), full),
        "low rank, basis": JointPosterior(model_of(), low_rank, random_basis(key)),
        "independent, basis": JointPosterior(
            model_of(), independent, random_basis(key)
        ),
        "gaussian": JointPosterior.gaussian(model_of(), COVARIANCE),
    }


@eqx.filter_jit
def facts(posterior, drawn):
    return {
        "mean": posterior.mean,
        "covariance": posterior.covariance,
        "stdv": posterior.stdv,
        "entropy": posterior.entropy(),
        "log_prob": posterior.log_prob(drawn),
    }


@pytest.mark.parametrize("name", KINDS)
def test_density_and_moments(name, key, x64):
    posterior = kinds(key)[name]
    drawn = posterior.draw(key)
    assert jax.tree.structure(drawn) == jax.tree.structure(posterior.model)
    found = facts(posterior, drawn)
    joint = posterior.joint
    if name == "gaussian":
        np.testing.assert_array_equal(joint.mean, np.zeros(4))
        np.testing.assert_allclose(joint.stdv, 1, rtol=1e-12)
        covariance = COVARIANCE
        basis = np.linalg.cholesky(COVARIANCE)
    else:
        independent = name == "independent, basis"
        of_z = np.diag(joint.stdv**2) if independent else np.asarray(joint.covariance)
        basis = np.eye(4) if posterior.basis is None else np.asarray(posterior.basis)
        covariance = basis @ of_z @ basis.T
    mean = np.array([0.5, -1.0, 2.0, 3.0]) + basis @ np.asarray(joint.mean)
    dense = scipy.stats.multivariate_normal(mean, covariance)
    expected = {
        "mean": mean,
        "covariance": covariance,
        "stdv": np.sqrt(np.diag(covariance)),
        "entropy": dense.entropy(),
        "log_prob": dense.logpdf(bjm.flatten_means(drawn)),
    }
    for fact, value in expected.items():
        np.testing.assert_allclose(found[fact], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["low rank, basis", "gaussian"])
def test_draws_have_mean_and_covariance(name, key):
    posterior = kinds(key)[name]
    draws = bjm.map_posterior(bjm.flatten_means, posterior, key=key, num_samples=20_000)
    covariance = np.asarray(posterior.covariance)
    variance = np.diag(covariance)
    error = 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / 20_000)
    assert np.all(np.abs(np.cov(draws.T) - covariance) < error)
    error = 5 * np.sqrt(variance / 20_000)
    assert np.all(np.abs(draws.mean(0) - posterior.mean) < error)


def test_covariance_over_many_magnitudes_in_single_precision(key):
    stdv = np.array([1e-7, 1e3, 1e-2, 5.0])
    scale = np.sqrt(np.diag(COVARIANCE))
    covariance = COVARIANCE / np.outer(scale, scale) * np.outer(stdv, stdv)
    zero = jax.tree.map(jnp.zeros_like, model_of())
    posterior = jax.jit(JointPosterior.gaussian)(zero, covariance)
    assert posterior.covariance.dtype == jnp.float32
    found = posterior.covariance / np.outer(stdv, stdv)
    np.testing.assert_allclose(found, covariance / np.outer(stdv, stdv), atol=1e-6)
    np.testing.assert_allclose(posterior.stdv, stdv, rtol=1e-6)
    dense = scipy.stats.multivariate_normal(np.zeros(4), np.ones(4))
    entropy = dense.entropy() + 0.5 * np.linalg.slogdet(covariance)[1]
    np.testing.assert_allclose(posterior.entropy(), entropy, rtol=1e-5)
    drawn = posterior.draw(key)
    z = np.linalg.solve(
        np.linalg.cholesky(covariance), np.asarray(bjm.flatten_means(drawn), float)
    )
    expected = dense.logpdf(z) - 0.5 * np.linalg.slogdet(covariance)[1]
    np.testing.assert_allclose(posterior.log_prob(drawn), expected, rtol=1e-5)


def test_starts():
    full = JointPosterior.full(model_of(), 0.2)
    np.testing.assert_allclose(full.covariance, 0.04 * np.eye(4), atol=1e-7)
    low_rank = JointPosterior.low_rank(model_of(), 2, 0.2)
    factor = np.asarray(low_rank.joint.factor, float)
    assert factor.shape == (4, 2)
    exact = 0.04 * np.eye(4) + factor @ factor.T
    np.testing.assert_allclose(low_rank.covariance, exact, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(low_rank.stdv, np.sqrt(np.diag(exact)), rtol=1e-6)
    np.testing.assert_allclose(low_rank.stdv, 0.2, rtol=0.05)
    assert jnp.all(low_rank.covariance[0, 1:] != 0)
    np.testing.assert_array_equal(full.mean, bjm.flatten_means(model_of()))


def test_only_joint_has_gradients(key):
    posterior = kinds(key)["low rank, basis"]

    @jax.jit
    @jax.grad
    def slopes(posterior):
        drawn = posterior.draw(key)
        # Widths of the drawn model as well, which are the model's.
        total = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(drawn))
        fixed = posterior.log_prob(model_of()) + posterior.entropy()
        return total + fixed + jnp.sum(posterior.covariance) + jnp.sum(posterior.mean)

    gradient = slopes(posterior)
    for leaf in jax.tree.leaves((gradient.model, gradient.basis)):
        np.testing.assert_array_equal(leaf, 0)
    for leaf in jax.tree.leaves(gradient.joint):
        assert jnp.all(leaf != 0)


def test_a_batch_of_posteriors(key):
    keys = random.split(key, 2)

    @eqx.filter_vmap
    def make(key):
        model = {"rates": bjm.make_parameter(random.normal(key, (2,)))}
        return JointPosterior.gaussian(model, jnp.array([[0.5, 0.1], [0.1, 0.2]]))

    batch = make(keys)
    draws = eqx.filter_vmap(lambda posterior, key: posterior.draw(key))(batch, keys)
    alone = jax.tree.map(lambda leaf: leaf[1], batch).draw(keys[1])
    np.testing.assert_allclose(draws["rates"].mean[1], alone["rates"].mean, rtol=1e-5)


def test_training_as_the_docstring_shows(key, x64):
    """A Gaussian target from another one's coordinates."""
    target = scipy.stats.multivariate_normal([0.7, -1.1, 2.2, 2.9], COVARIANCE / 9)
    precision = jnp.asarray(np.linalg.inv(target.cov))

    def log_density(drawn):
        distance = bjm.flatten_means(drawn) - target.mean
        return -0.5 * distance @ precision @ distance

    posterior = JointPosterior.gaussian(model_of(), np.diag(np.diag(target.cov)))
    frozen = [name for name in bjm.get_parameters(posterior) if name != "joint"]
    dynamic, static = bjm.freeze_params(posterior, [*frozen, "basis"])
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, 800))

    def step(carry, key):
        dynamic, state = carry

        def loss(dynamic):
            bound = bjm.elbo(
                bjm.unfreeze_all(dynamic, static),
                log_density,
                prior=None,
                key=key,
                num_samples=4,
                stick_the_landing=True,
            )
            return -bound.value

        gradient = jax.grad(loss)(dynamic)
        updates, state = optimiser.update(gradient, state, dynamic)
        return (optax.apply_updates(dynamic, updates), state), None

    @jax.jit
    def train(dynamic, key):
        carry = (dynamic, optimiser.init(dynamic))
        return jax.lax.scan(step, carry, random.split(key, 800))[0][0]

    with jax.numpy_dtype_promotion("standard"):
        fitted = bjm.unfreeze_all(train(dynamic, key), static)
    # Where the posterior is exact the gradient has no noise: the fit is exact too.
    np.testing.assert_allclose(fitted.mean, target.mean, atol=1e-6)
    np.testing.assert_allclose(fitted.covariance, target.cov, atol=1e-6)


def test_mistakes_are_named():
    model, joint = model_of(), bjm.make_parameter(jnp.zeros(4))
    with pytest.raises(ValueError, match=r"`joint.mean` has shape \(3,\), but \(4,\)"):
        JointPosterior(model, bjm.make_parameter(jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"`basis` has shape \(3, 3\), but \(4, 4\)"):
        JointPosterior(model, joint, jnp.eye(3))
    with pytest.raises(ValueError, match="`basis` has dtype float16, but the means"):
        JointPosterior(model, joint, jnp.eye(4, dtype=jnp.float16))
    with pytest.raises(ValueError, match="`init_stdv` must be above 0.0001.*gaussian"):
        JointPosterior.full(model, 1e-5)
    with pytest.raises(ValueError, match=r"`init_stdv` has shape \(2,\)"):
        JointPosterior.low_rank(model, 1, jnp.ones(2))
    with pytest.raises(ValueError, match=r"`covariance` has shape \(3, 3\), but \(4"):
        JointPosterior.gaussian(model, jnp.eye(3))
    for wrong in (-np.eye(4), np.triu(np.ones((4, 4))), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match="`covariance` must be symmetric and pos"):
            JointPosterior.gaussian(model, wrong)
    own = LogisticParameter(jnp.zeros(4), jnp.zeros(4))
    with pytest.raises(NotImplementedError, match="covariance of a LogisticParameter"):
        JointPosterior(model, own, jnp.eye(4)).stdv  # noqa: B018
    np.testing.assert_allclose(JointPosterior(model, own).stdv, np.pi / 3**0.5)
