"""Curvatures that are measured."""

import numpy as np
import pytest

from BayesianJaxModels._infer._search.newton import measure
from tests._infer._search.cases import quadratic

RNG = np.random.default_rng(0)


def test_units_change_nothing():
    """A curvature is measured from a guess whose widths are off by 1e3 either way."""
    scale = np.array([1e-4, 1.0, 100.0])
    correlation = 0.2 * np.eye(3) + 0.8
    precision = np.linalg.inv(correlation * np.outer(scale, scale))
    points = scale * RNG.normal(size=(2, 3))
    values, gradients = quadratic(precision)(points)

    def evaluate(points):
        return points, *quadratic(precision)(points)

    guess = np.tile(np.diag(scale * [1e3, 1e-3, 1.0]), (2, 1, 1))
    found = measure(evaluate, guess, points, values, gradients)
    np.testing.assert_allclose(found.decrement, values, rtol=1e-6)
    square = found.roots[0] @ found.roots[0].T / np.outer(scale, scale)
    np.testing.assert_allclose(square, correlation, rtol=1e-6)
    assert np.all(found.noise < 1e-6)


def measured(evaluate, points):
    """From a root of ones."""
    values, gradients = evaluate(points)
    roots = np.tile(np.eye(points.shape[1]), (len(points), 1, 1))

    def rounded(points):
        return points, *evaluate(points)

    return measure(rounded, roots, points, values, gradients)


def test_a_saddle_promises_everything():
    precision = np.array([[2.0, 0.5], [0.5, -3.0]])
    found = measured(quadratic(precision), np.array([[0.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(found.decrement, [np.inf, np.inf])
    size, axes = np.linalg.eigh(precision)
    exact = axes / np.abs(size) @ axes.T
    for root in found.roots:
        np.testing.assert_allclose(root @ root.T, exact, rtol=1e-9)
    assert found.finite.all()
    assert not found.flat.any()
    # A step to either side along the axis that goes down.
    assert np.all(found.values < quadratic(precision)([[0.0, 0.0], [1.0, 2.0]])[0])
    values, gradients = quadratic(precision)(found.points)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.gradients, gradients)


def test_no_slope_and_no_curvature_is_flat():
    found = measured(quadratic(np.zeros((2, 2))), np.ones((1, 2)))
    assert found.flat.all()
    assert found.finite.all()


@pytest.mark.parametrize("room", [1e-2, 1e-9])
def test_beside_an_edge_differences_grow_shorter_up_to_a_limit(room):
    """Widths of 0.1 are tried, of 0.01 and so on, four in all."""

    def evaluate(points):
        x = points[:, 0]
        value = np.where(x > 0, 5 * (x - room) ** 2, np.nan)
        return value, 10 * (points - room)

    found = measured(evaluate, np.array([[room]]))
    assert found.finite[0] == (room == 1e-2)
    if room == 1e-2:
        np.testing.assert_allclose(found.roots[0] ** 2, [[0.1]], rtol=1e-9)
        np.testing.assert_allclose(found.decrement, 0, atol=1e-15)


def test_noise_of_the_values_is_what_their_slopes_do_not_explain():
    plain = quadratic(np.eye(3))
    rng = np.random.default_rng(0)

    def evaluate(points):
        values, gradients = plain(points)
        return values + 1e-3 * rng.normal(size=len(values)), gradients

    points = RNG.normal(size=(300, 3))
    found = measured(evaluate, points)
    # Of 900 differences: an error of 2.4 %.
    rms = np.sqrt(np.mean(found.noise**2))
    np.testing.assert_allclose(rms, 1e-3, rtol=0.1)
    assert np.all(measured(plain, points).noise < 1e-13)
