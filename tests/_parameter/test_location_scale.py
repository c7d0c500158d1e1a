"""Draws that are a linear map of noise, and the densities that the noise gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import (
    GaussianParameter,
    LaplacianParameter,
    MultivariateGaussianParameter,
)

MEAN, RAW = np.array([0.3, -1.0]), np.array([0.5, 0.7])
KINDS = {
    "gaussian": lambda: GaussianParameter(MEAN, RAW),
    "laplacian": lambda: LaplacianParameter(MEAN, RAW),
    "multivariate": lambda: MultivariateGaussianParameter(MEAN, RAW, np.array([0.4])),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_draws_are_the_mean_and_spread_noise(kind, key, x64):
    parameter = KINDS[kind]()
    noise = parameter.noise(key)
    assert noise.shape == (parameter.noise_size,) == (2,)
    expected = parameter.mean + parameter.spread(noise)
    np.testing.assert_array_equal(parameter.sample(key), expected)
    whitened = parameter.whiten(parameter.spread(noise))
    np.testing.assert_allclose(whitened, parameter.residual(noise), rtol=1e-13)
    assert not parameter.is_too_steep(noise)


@every_kind
def test_the_noise_gives_the_density_of_its_draw(kind, key, x64):
    parameter, normal = KINDS[kind](), jnp.array([-0.5, 1.25])
    for draw, log_prob in (
        parameter.sample_and_log_prob(key),
        parameter.sample_and_log_prob(key, path_only=True),
        parameter.displaced_and_log_prob(normal),
        parameter.displaced_and_log_prob(normal, path_only=True),
    ):
        np.testing.assert_allclose(log_prob, parameter.log_prob(draw), rtol=1e-13)


@every_kind
def test_minus_the_noise_is_the_draw_reflected(kind, x64):
    parameter, normal = KINDS[kind](), jnp.array([-0.5, 1.25])
    both = parameter.displaced(normal), parameter.displaced(-normal)
    np.testing.assert_allclose(sum(both) / 2, MEAN, rtol=1e-14)


@every_kind
def test_along_the_path_slopes_are_those_of_the_draw_alone(kind, key, x64):
    """What a fixed density changes by as the draw moves with each field."""
    parameter = KINDS[kind]()

    def along(p):
        return p.sample_and_log_prob(key, path_only=True)[1]

    def plainly(p):
        return parameter.log_prob(p.sample(key))

    found, expected = jax.grad(along)(parameter), jax.grad(plainly)(parameter)
    for of_path, plain in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        assert np.any(plain != 0)
        np.testing.assert_allclose(of_path, plain, rtol=1e-12)
