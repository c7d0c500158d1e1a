import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._parameter.location_scale import AbstractLocationScale

MEAN = jnp.array([[0.5, -1.0], [2.0, 0.0]])
KINDS = {
    "Gaussian": bjm.GaussianParameter.from_value(MEAN, 0.7),
    "Laplacian": bjm.LaplacianParameter.from_value(MEAN, 0.7),
    "multivariate": bjm.MultivariateGaussianParameter.from_value(MEAN, 0.7),
    "low rank": bjm.LowRankGaussianParameter.from_value(MEAN, 0.7),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_a_draw_is_the_mean_and_what_its_noise_spreads_to(kind, key):
    parameter = KINDS[kind]
    assert isinstance(parameter, AbstractLocationScale)
    noise = parameter.noise(key)
    assert noise.shape == (parameter.noise_size,)
    np.testing.assert_array_equal(parameter.sample(key), MEAN + parameter.spread(noise))
    normal = jnp.linspace(-2.0, 2.0, parameter.noise_size)
    displaced = MEAN + parameter.spread(parameter.noise_from_normal(normal))
    np.testing.assert_array_equal(parameter.displaced(normal), displaced)


@every_kind
def test_the_density_from_the_noise_is_that_of_the_draw(kind, key):
    parameter = KINDS[kind]
    draw, log_prob = parameter.sample_and_log_prob(key)
    np.testing.assert_array_equal(draw, parameter.sample(key))
    np.testing.assert_allclose(log_prob, parameter.log_prob(draw), rtol=1e-5)
    noise = parameter.noise(key)
    whitened = parameter.whiten(parameter.spread(noise))
    np.testing.assert_allclose(parameter.residual(noise), whitened, atol=2e-6)


@every_kind
def test_the_root_is_one_of_the_covariance(kind):
    parameter = KINDS[kind]
    covariance = parameter.root @ parameter.root.T
    spread = jax.vmap(parameter.spread, in_axes=0)
    columns = spread(jnp.eye(parameter.noise_size)).reshape(parameter.noise_size, -1)
    variance = 2.0 if kind == "Laplacian" else 1.0  # of one noise
    np.testing.assert_allclose(covariance, variance * columns.T @ columns, rtol=1e-5)
    widths = jnp.sqrt(jnp.diagonal(covariance)).reshape(MEAN.shape)
    np.testing.assert_allclose(widths, parameter.stdv, rtol=1e-6)


@every_kind
def test_on_the_path_the_slope_by_the_widths_is_that_through_the_draw(kind, key):
    """For a normal, `d log_prob / d x` times `d x / d width`, and no other part."""
    parameter = KINDS[kind]

    def on_path(parameter):
        return parameter.sample_and_log_prob(key, path_only=True)[1]

    def by_hand(moving):
        return jax.lax.stop_gradient(parameter).log_prob(moving.sample(key))

    value, slope = jax.jit(jax.value_and_grad(on_path))(parameter)
    np.testing.assert_allclose(value, parameter.sample_and_log_prob(key)[1], rtol=1e-6)
    exact = jax.jit(jax.grad(by_hand))(parameter)
    for one, other in zip(jax.tree.leaves(slope), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


@every_kind
def test_widths_are_rescaled_to_those_that_are_wanted(kind):
    wanted = jnp.array([[0.1, 0.2], [0.3, 5.0]])
    parameter = KINDS[kind].with_stdv(wanted)
    np.testing.assert_allclose(parameter.stdv, wanted, rtol=1e-5)
    np.testing.assert_array_equal(parameter.mean, MEAN)
    with pytest.raises(ValueError, match=r"`stdv` has shape \(3,\)"):
        KINDS[kind].with_stdv(jnp.ones(3))


@every_kind
def test_a_missing_key_and_a_value_of_another_shape_are_named(kind):
    with pytest.raises(ValueError, match="`rng` is None"):
        KINDS[kind].sample(None)
    with pytest.raises(ValueError, match="`rng` is None"):
        KINDS[kind].sample_and_log_prob(None)
    with pytest.raises(ValueError, match=r"`value` has shape \(2,\)"):
        KINDS[kind].log_prob(jnp.ones(2))
