"""The effects given what all share, and the derivative of their mass."""

import jax
import jax.numpy as jnp
import numpy as np

from BayesianJaxModels._model import free_means


def test_normals_are_exact_for_lines(lines, fit):
    subjects, _, _, _ = lines
    typical = np.array([0.4, 0.1])
    normals = fit.conditional.normals(jnp.asarray(typical, jnp.float32))
    between, noise = np.diag(np.array([0.8, 0.3]) ** 2), 0.5
    for i, one in enumerate(subjects):
        design = np.stack([np.ones_like(one.ts), one.ts], axis=1)
        precision = design.T @ design / noise**2 + np.linalg.inv(between)
        factor = np.asarray(normals.factors[i], np.float64)
        assert np.allclose(factor @ factor.T, precision, rtol=1e-4)
        pull = design.T @ one.observations / noise**2
        mean = np.linalg.solve(precision, pull + np.linalg.inv(between) @ typical)
        assert np.allclose(normals.means[i], mean, atol=1e-4)
    white = jnp.ones((len(subjects), 2))
    assert np.allclose(normals.whitened(normals.placed(white)), white, atol=1e-4)


def test_gradient_is_that_of_differences(fit):
    rest = fit.shared.model
    shared = free_means(rest)

    def mass(shared):
        return jnp.sum(fit.conditional.normals(shared).log_masses)

    forward = jax.jit(jax.jacfwd(mass))(shared + 0.3)
    back = jax.jit(jax.grad(mass))(shared + 0.3)
    assert np.allclose(forward, back, rtol=1e-3)
    step = 0.05
    for i in range(2):
        move = step * np.eye(2, dtype=np.float32)[i]
        difference = mass(shared + 0.3 + move) - mass(shared + 0.3 - move)
        assert np.allclose(forward[i], difference / (2 * step), rtol=2e-3, atol=1e-2)
