import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    GaussianParameter,
    LaplacianParameter,
    LowRankGaussianParameter,
    MultivariateGaussianParameter,
    kl_divergence,
    make_parameter,
)

from ..registry import LogisticParameter

MEAN = jnp.array([0.3, -1.0])
GAUSSIAN = GaussianParameter(MEAN, jnp.array([0.5, 0.7]))
WIDER_GAUSSIAN = GaussianParameter(jnp.array([0.0, -0.5]), jnp.array([0.9, 1.1]))
LAPLACIAN = LaplacianParameter(MEAN, jnp.array([0.5, 0.7]))
WIDER_LAPLACIAN = LaplacianParameter(jnp.array([0.0, -0.5]), jnp.array([0.9, 1.1]))
MULTIVARIATE = MultivariateGaussianParameter.from_covariance(
    MEAN, jnp.array([[0.3, 0.2], [0.2, 0.4]])
)
WIDER_MULTIVARIATE = MultivariateGaussianParameter.from_covariance(
    jnp.array([0.0, -0.5]), jnp.array([[0.9, -0.3], [-0.3, 0.8]])
)
LOW_RANK = LowRankGaussianParameter(
    MEAN, jnp.array([0.5, 0.7]), jnp.array([[0.4], [-0.3]])
)
LOGISTIC = LogisticParameter(MEAN, jnp.log(jnp.array([0.2, 0.4])))
PAIRS = {
    "Gaussian || Gaussian": (GAUSSIAN, WIDER_GAUSSIAN),
    "multivariate || Gaussian": (MULTIVARIATE, WIDER_GAUSSIAN),
    "multivariate || multivariate": (MULTIVARIATE, WIDER_MULTIVARIATE),
    "Laplace || Laplace": (LAPLACIAN, WIDER_LAPLACIAN),
    "Laplace || Gaussian": (LAPLACIAN, WIDER_GAUSSIAN),
    "Laplace || multivariate": (LAPLACIAN, WIDER_MULTIVARIATE),
    "Gaussian || multivariate": (GAUSSIAN, WIDER_MULTIVARIATE),
    "low rank || multivariate": (LOW_RANK, WIDER_MULTIVARIATE),
    "a type of one's own || Gaussian": (LOGISTIC, WIDER_GAUSSIAN),
}


def test_sums_over_each_type():
    model = [GAUSSIAN, LAPLACIAN, MULTIVARIATE, WIDER_GAUSSIAN]
    model.append(make_parameter(1.0, bayesian=False))
    expected = np.log(GAUSSIAN.stdv).sum() + np.log(WIDER_GAUSSIAN.stdv).sum()
    np.testing.assert_allclose(bjm.gaussian_entropy(model), expected, rtol=1e-6)
    expected = np.log(LAPLACIAN.scale).sum()
    np.testing.assert_allclose(bjm.laplacian_entropy(model), expected, rtol=1e-6)
    expected = sum(parameter.entropy() for parameter in model)
    np.testing.assert_allclose(bjm.entropy(model), expected, rtol=1e-6)
    assert bjm.gaussian_entropy(LAPLACIAN) == 0
    assert bjm.laplacian_entropy(GAUSSIAN) == 0


@pytest.mark.parametrize("name", PAIRS)
def test_kl_against_monte_carlo(name, key):
    q, p = PAIRS[name]
    draws = jax.vmap(q.sample)(random.split(key, 40_000))
    log_ratios = jax.vmap(lambda z: q.log_prob(z) - p.log_prob(z))(draws)
    error = 5 * log_ratios.std() / log_ratios.size**0.5
    assert jnp.abs(kl_divergence(q, p) - log_ratios.mean()) < error
    assert error < 0.05


@pytest.mark.parametrize("q", [GAUSSIAN, MULTIVARIATE, LAPLACIAN], ids=str)
def test_kl_to_itself_is_zero_and_flat(q):
    value, gradient = jax.value_and_grad(kl_divergence)(q, q)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_allclose(leaf, 0, atol=1e-5)


def test_kl_of_a_multivariate_without_correlations():
    wide = MultivariateGaussianParameter(MEAN, GAUSSIAN.raw_stdv, jnp.zeros(1))
    expected = kl_divergence(GAUSSIAN, WIDER_GAUSSIAN)
    np.testing.assert_allclose(kl_divergence(wide, WIDER_GAUSSIAN), expected, rtol=1e-5)


def test_kl_of_standard_cases():
    standard = make_parameter(0.0, init_raw_stdv=(1 - 1e-4) ** 0.5)
    narrow = make_parameter(1.0, init_raw_stdv=(0.5 - 1e-4) ** 0.5)
    expected = np.log(2) + (0.25 + 1) / 2 - 0.5
    np.testing.assert_allclose(kl_divergence(narrow, standard), expected, rtol=1e-5)


def test_kl_of_models_is_the_sum_over_names():
    q = {"a": GAUSSIAN, "b": [LAPLACIAN]}
    p = {"a": WIDER_GAUSSIAN, "b": [WIDER_LAPLACIAN]}
    expected = kl_divergence(GAUSSIAN, WIDER_GAUSSIAN) + kl_divergence(
        LAPLACIAN, WIDER_LAPLACIAN
    )
    np.testing.assert_allclose(kl_divergence(q, p), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("q", "p"),
    [
        (GAUSSIAN, LAPLACIAN),
        (GAUSSIAN, LOW_RANK),
        (make_parameter(MEAN, bayesian=False), GAUSSIAN),
        (make_parameter(MEAN, bayesian=False), MULTIVARIATE),
        (LogisticParameter(MEAN, MEAN), LogisticParameter(MEAN, MEAN)),
    ],
    ids=lambda parameter: type(parameter).__name__,
)
def test_pairs_without_a_closed_form_are_named(q, p):
    pair = rf"KL\({type(q).__name__} \|\| {type(p).__name__}\)"
    with pytest.raises(NotImplementedError, match=f"^{pair} has no closed form"):
        kl_divergence(q, p)
    with pytest.raises(NotImplementedError, match=rf"^{pair} of `layers\[0\]` has no"):
        kl_divergence(Holder([q]), Holder([p]))


class Holder(bjm.Module):
    layers: list


def test_kl_of_models_that_do_not_match():
    with pytest.raises(ValueError, match=r"only `p` has \[\"\['b'\]\"\]"):
        kl_divergence({"a": GAUSSIAN}, {"a": GAUSSIAN, "b": GAUSSIAN})
    with pytest.raises(ValueError, match=r"`p.mean` has shape \(\), but \(2,\) was"):
        kl_divergence(GAUSSIAN, make_parameter(1.0))
