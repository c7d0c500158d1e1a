"""Curvatures that are measured."""

import numpy as np

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
