"""Curvature by differences, where it is known."""

import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm

SCALE = np.array([1e-4, 1.0, 100.0])
CORRELATED = (0.05 * np.eye(3) + 0.95) * np.outer(SCALE, SCALE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_of_all_sizes_that_are_nearly_one(dtype, x64):
    precision = jnp.asarray(np.linalg.inv(CORRELATED), dtype)
    mode = jnp.asarray(3 * SCALE, dtype)

    def log_density(drawn):
        apart = drawn.mean - mode
        return -0.5 * apart @ precision @ apart

    fit = bjm.laplace(log_density, bjm.make_parameter(mode))
    rtol = 5e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(fit.stdv, SCALE, rtol=rtol)
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * CORRELATED)[1]
    np.testing.assert_allclose(fit.log_evidence, exact, rtol=rtol)


def test_a_mode_beside_the_edge_of_the_support():
    """A Gamma density with mode 1e-5 and a curvature that stands for sd 1e-6."""

    def log_density(drawn):
        return 100 * jnp.log(drawn.mean) - 1e7 * drawn.mean

    fit = bjm.laplace(log_density, bjm.make_parameter(1e-5))
    np.testing.assert_allclose(fit.stdv, [1e-6], rtol=1e-5)


def test_a_width_far_below_the_value():
    fit = bjm.laplace(
        lambda drawn: -0.5 * jnp.sum(((drawn.mean - 3) / 1e-5) ** 2),
        bjm.make_parameter([3.0, 3.0]),
    )
    np.testing.assert_allclose(fit.stdv, [1e-5, 1e-5], rtol=1e-6)


def rough(height, spacing):
    """Two nearly equal entries, and a gradient that jumps as a solver's does."""
    precision = jnp.array([[100.0, 99.0], [99.0, 100.0]])

    def log_density(drawn):
        x = drawn.mean
        ripple = height * jnp.sum(jnp.sin(x / spacing))
        return -0.5 * x @ precision @ x + ripple

    return log_density


def test_noise_of_the_gradient_is_averaged_or_told():
    exact = np.sqrt(np.diagonal(np.linalg.inv([[100.0, 99.0], [99.0, 100.0]])))
    near = bjm.make_parameter([1e-4, -2e-4])
    little = bjm.laplace(rough(2e-5, 1e-3), near)
    np.testing.assert_allclose(little.stdv, exact, rtol=0.02)
    with pytest.warns(UserWarning, match=r"widths may be off by .*rtol=1e-6"):
        bjm.laplace(rough(1e-4, 1e-3), near)
    with pytest.raises(ValueError, match=r"curved downwards.*not smooth.*rtol=1e-6"):
        bjm.laplace(rough(4e-3, 1e-3), near)
