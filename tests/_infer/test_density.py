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


PAIR = bjm.make_parameter([0.7, 1.2])


def test_a_density_is_a_function_of_what_is_free():
    model = {"a": PAIR, "known": bjm.DeterministicParameter(jnp.array(3.0))}
    density = FlatDensity(lambda m: m["known"].mean * jnp.prod(m["a"].mean), model)
    np.testing.assert_array_equal(density.entries, np.array([0.7, 1.2], np.float32))
    assert density.dtype == np.float32
    assert density(jnp.array([2.0, 5.0])) == 30.0
    value, gradient = density.value_and_gradient(jnp.array([[2.0, 5.0], [1.0, 4.0]]))
    np.testing.assert_array_equal(value, [30, 12])
    np.testing.assert_array_equal(gradient, [[15, 6], [12, 3]])
    rounded = density.rounded(np.array([[0.1, 1 / 3]]))
    assert rounded.dtype == np.float64
    np.testing.assert_array_equal(rounded, np.array([[0.1, 1 / 3]], np.float32))
    assert rounded[0, 0] != 0.1


def test_nothing_to_infer_is_refused():
    for model in ({}, bjm.DeterministicParameter(jnp.ones(2))):
        with pytest.raises(ValueError, match="no parameter to infer.*`make_parameter"):
            FlatDensity(lambda drawn: jnp.zeros(()), model)


@pytest.mark.parametrize(
    ("wrong", "came"),
    [
        (lambda m: m.mean, r"shape \(2,\) and dtype float32"),
        (lambda m: m.mean[:1], r"shape \(1,\) and dtype float32"),
        (lambda m: m.mean[0].astype(int), r"shape \(\) and dtype int32"),
        (lambda m: jax.lax.complex(*m.mean), r"shape \(\) and dtype complex64"),
    ],
    ids=["many", "one in a list", "whole", "complex"],
)
def test_what_is_no_real_number_is_refused(wrong, came):
    wanted = f"one real number for a drawn model, but returned {came}. Sum"
    with pytest.raises(ValueError, match=wanted):
        FlatDensity(wrong, PAIR)(jnp.ones(2))
    with pytest.raises(ValueError, match=wanted):
        bjm.ForwardGradient(wrong)(PAIR)


@jax.custom_vjp
def reverse_alone(x):
    return jnp.sum(x**3)


reverse_alone.defvjp(
    lambda x: (jnp.sum(x**3), x), lambda x, cotangent: (3 * cotangent * x**2,)
)


def forward_alone(x):
    return jax.lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, jnp.ones_like(x))
    )[1].sum()


@pytest.mark.parametrize("fn", [reverse_alone, forward_alone])
@pytest.mark.parametrize("d", [2, 33])
def test_a_density_that_allows_one_mode_gets_it(fn, d):
    """Forward mode is tried first up to 32 entries, and reverse mode beyond."""
    model = bjm.make_parameter(jnp.ones(d))
    point = jnp.linspace(0.5, 1.5, d)
    density = FlatDensity(lambda drawn: fn(drawn.mean), model)
    value, gradient = density.value_and_gradient(point)
    np.testing.assert_allclose(value, np.sum(np.asarray(point) ** 3), rtol=1e-6)
    np.testing.assert_allclose(gradient, 3 * point**2, rtol=1e-6)
    by_user = jax.grad(density.differentiable)(point)
    np.testing.assert_allclose(by_user, 3 * point**2, rtol=1e-6)
    drawn = bjm.unflatten_means(model, point)
    found = jax.grad(bjm.ForwardGradient(lambda drawn: fn(drawn.mean)))(drawn)
    np.testing.assert_allclose(found.mean, 3 * point**2, rtol=1e-6)


def test_errors_of_the_users_own_come_through():
    def broken(drawn):
        raise TypeError("of the user")

    with pytest.raises(TypeError, match="^of the user"):
        FlatDensity(broken, PAIR).value_and_gradient(jnp.ones(2))


def test_second_derivatives_of_a_quadratic_density_are_exact(x64):
    precision = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 4.0]])

    def log_density(drawn):
        return -0.5 * drawn.mean @ jnp.asarray(precision) @ drawn.mean

    points = RNG.normal(size=(5, 3))
    # With and without a batch that is filled up.
    for batch_size in (None, 5):
        model = bjm.make_parameter(jnp.zeros(3))
        density = FlatDensity(log_density, model, batch_size)
        found = hessians(density, points, np.array([0.1, 1.0, 10.0]))
        np.testing.assert_allclose(found[0], -points @ precision, rtol=1e-12)
        exact = np.broadcast_to(-precision, (5, 3, 3))
        np.testing.assert_allclose(found[1], exact, atol=1e-13)


def test_a_batch_without_points_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        FlatDensity(lambda drawn: jnp.sum(drawn.mean), PAIR, 0)
