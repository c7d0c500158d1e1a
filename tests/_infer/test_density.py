"""Log densities over vectors, with derivatives by either mode."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from BayesianJaxModels._infer.density import (
    FlatDensity,
    hessians,
    values_and_gradients,
)

RNG = np.random.default_rng(0)


class Decay(eqx.Module):
    rate: jax.Array

    def __call__(self, t, y, args):
        return -self.rate * y


def decay(adjoint):
    """The log density of a rate and a start, through a solve."""

    def log_density(drawn):
        trajectory = bjm.integrate(
            Decay(drawn.mean[0]),
            drawn.mean[1:],
            jnp.array([0.0, 1.0]),
            adjoint=adjoint,
            stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-8),
        )
        return jnp.sum(norm.logpdf(trajectory.ys[-1], 0.5, 0.1))

    return log_density


@pytest.mark.parametrize(
    "adjoint", [diffrax.ForwardMode(), diffrax.RecursiveCheckpointAdjoint()]
)
def test_gradients_of_solves_in_the_mode_they_allow(adjoint, x64):
    model = bjm.GaussianParameter(jnp.array([0.7, 1.2]), jnp.ones(2))
    density = FlatDensity(decay(adjoint), model)
    point = np.array([[0.7, 1.2]])
    rate, start = point[0]
    end = start * np.exp(-rate)
    slope = (0.5 - end) / 0.01
    values, gradients = values_and_gradients(density, point)
    np.testing.assert_allclose(values, norm.logpdf(end, 0.5, 0.1), rtol=1e-6)
    np.testing.assert_allclose(
        gradients, [[-end * slope, end / start * slope]], rtol=1e-5
    )
    # The optimiser's own gradient, reverse mode, whatever the adjoint.
    np.testing.assert_allclose(
        jax.grad(density.differentiable)(jnp.asarray(point[0])), gradients[0], rtol=1e-9
    )
    d_end = np.array([-end, end / start])
    curvature = -np.outer(d_end, d_end) / 0.01
    curvature += slope * np.array([[end, -end / start], [-end / start, 0]])
    _, found = hessians(density, point, np.array([1e-3, 1e-3]))
    np.testing.assert_allclose(found[0], curvature, rtol=1e-4)


def test_one_compilation_serves_any_number_of_points(key):
    traced = []

    def log_density(drawn):
        traced.append(1)
        return norm.logpdf(drawn.mean).sum()

    model = bjm.GaussianParameter(jnp.zeros(3), jnp.ones(3))
    density = FlatDensity(log_density, model)
    for count in (1, 7, 8, 40):
        points = RNG.normal(size=(count, 3))
        values, gradients = values_and_gradients(density, points)
        assert values.shape == (count,)
        np.testing.assert_allclose(gradients, -points, rtol=1e-5)
    assert len(traced) == 1
