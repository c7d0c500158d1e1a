"""The search for modes, and derivatives by either mode of differentiation."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from BayesianJaxModels._inference.density import (
    FlatDensity,
    hessians,
    values_and_gradients,
)
from BayesianJaxModels._inference.search import minimise
from tests._inference.targets import correlated

RNG = np.random.default_rng(0)


def test_search_finds_what_scipy_finds():
    """Rosenbrock's valley in 6 dimensions from 16 starts, one of them in a hole."""

    def evaluate(points):
        values = np.array([scipy.optimize.rosen(x) for x in points])
        return values, np.array([scipy.optimize.rosen_der(x) for x in points])

    def with_hole(points):
        values, gradients = evaluate(points)
        return np.where(points[:, 0] > 3, np.nan, values), gradients

    starts = RNG.normal(size=(16, 6))
    starts[3, 0] = 4.0
    calls = []
    x, values, converged = minimise(
        with_hole, starts, tolerance=1e-10, max_steps=500, progress=calls.append
    )
    others = np.arange(16) != 3
    assert converged[others].all()
    assert not converged[3]
    assert values[3] == np.inf
    assert sum(calls) == 16
    # Rosenbrock's function has a second minimum near (-1, 1, ..., 1).
    for start, end, value in zip(
        starts[others], x[others], values[others], strict=True
    ):
        best = scipy.optimize.minimize(
            scipy.optimize.rosen, end, jac=scipy.optimize.rosen_der, method="BFGS"
        )
        assert value - best.fun < 1e-8
        assert value <= scipy.optimize.rosen(start)


def two_modes(drawn):
    x = drawn["x"].mean
    return jnp.logaddexp(norm.logpdf(x, -2.0, 0.1), norm.logpdf(x, 2.0, 0.1) - 3.0)


def test_best_of_many_starts(key):
    model = {"x": bjm.GaussianParameter(jnp.zeros(()), jnp.ones(()))}
    prior = bjm.Prior({}, default=bjm.Normal(0.0, 2.0))
    found = bjm.map_estimate(two_modes, model, key=key, num_starts=12, prior=prior)
    np.testing.assert_allclose(found.model["x"].mean, -2, atol=1e-3)
    near_best = np.abs(found.ends[:, 0] + 2) < 0.01
    assert 0 < found.num_agree == near_best.sum() < 12
    assert found.num_failed == 0
    assert found.converged.all()
    assert f"{found.num_agree} of 12 starts agree" in repr(found)
    np.testing.assert_allclose(found.log_density, norm.logpdf(0.0, 0.0, 0.1), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mode_of_a_correlated_normal(key, dtype, x64):
    density, model = correlated(4, dtype)
    found = bjm.map_estimate(density, model, key=key, num_starts=4, max_steps=2_000)
    sd = jnp.sqrt(jnp.diagonal(density.covariance))
    error = (bjm.flatten_means(found.model) - density.mean) / sd
    assert np.max(np.abs(error)) < (0.1 if dtype == "float32" else 0.01)


def test_failed_starts_are_counted_and_mistakes_named(key):
    model = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))

    def half(drawn):
        x, y = drawn.mean
        return jnp.where(x > 0, norm.logpdf(jnp.log(jnp.where(x > 0, x, 1.0))), jnp.nan)

    def with_y(drawn):
        return half(drawn) + norm.logpdf(drawn.mean[1])

    found = bjm.map_estimate(with_y, model, key=key, num_starts=16)
    assert 2 < found.num_failed < 14
    assert np.all(found.log_densities[found.failed] == -np.inf)
    np.testing.assert_allclose(found.model.mean, [1, 0], atol=0.05)
    with pytest.raises(RuntimeError, match="All 4 searches failed"):
        bjm.map_estimate(lambda m: m.mean[0] * jnp.nan, model, key=key, num_starts=4)
    with pytest.raises(ValueError, match="`num_starts` must be at least 1, but got 0"):
        bjm.map_estimate(with_y, model, key=key, num_starts=0)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        bjm.map_estimate(with_y, model, key=key, batch_size=0)
    with pytest.warns(UserWarning, match="did not meet its tolerance in 2 steps"):
        bjm.map_estimate(
            lambda m: -((1 - m.mean[0]) ** 2) - 100 * (m.mean[1] - m.mean[0] ** 2) ** 2,
            model,
            key=key,
            max_steps=2,
        )


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
