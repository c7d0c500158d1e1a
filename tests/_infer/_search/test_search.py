"""The search for minima: what it finds, when it says so, and why it ended."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from BayesianJaxModels._infer._search.search import minimise
from tests._infer._search.cases import quadratic

RNG = np.random.default_rng(0)
SETTINGS = {"tolerance": 1e-6, "max_steps": 1_000}


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
    x, values, outcomes, _ = minimise(
        with_hole,
        starts,
        scale=np.ones(6),
        tolerance=1e-10,
        max_steps=500,
        progress=calls.append,
    )
    converged = outcomes == "converged"
    others = np.arange(16) != 3
    assert converged[others].all()
    assert outcomes[3] == "no start"
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


@pytest.mark.parametrize("d", [50, 100])
def test_ill_conditioned_quadratics(d):
    """With measured curvature, and beyond 64 entries with a second search."""
    condition = 1e8 if d == 50 else 1e3
    axes = np.linalg.qr(RNG.normal(size=(d, d)))[0]
    precision = (axes * np.geomspace(1, condition, d)) @ axes.T
    starts = RNG.normal(size=(3, d))
    ends = minimise(quadratic(precision), starts, scale=np.ones(d), **SETTINGS)
    assert np.all(ends.outcomes == "converged")
    assert np.max(ends.values) < 2e-6


# Certified values, data and starts of NIST's Statistical Reference Datasets,
# https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml: the model, x, y, the least
# residual sum of squares, the estimates, and starts between its two and around them.
def saturation(b, x):
    return b[0] * (1 - jnp.exp(-b[1] * x))


def rational(b, x):
    return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])


def richards(b, x):
    return b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3])


# fmt: off
NIST = {
    "Misra1a": (
        saturation,
        [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8,
         593.1, 689.1, 760.0],
        [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01,
         66.40, 75.47, 81.78],
        1.2455138894e-1, [2.3894212918e2, 5.5015643181e-4],
        [100, 1e-4], [500, 1e-3],
    ),
    "BoxBOD": (
        saturation, [1, 2, 3, 5, 7, 10], [109, 149, 149, 191, 213, 224],
        1.1680088766e3, [2.1380940889e2, 5.4723748542e-1], [50, 0.1], [300, 1.5],
    ),
    "MGH09": (
        rational,
        [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235,
         0.0246],
        3.0750560385e-4,
        [1.9280693458e-1, 1.9128232873e-1, 1.2305650693e-1, 1.3606233068e-1],
        [0.05] * 4, [0.5] * 4,
    ),
    "Rat43": (
        richards, list(range(1, 16)),
        [16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53, 590.03, 651.92,
         724.93, 699.56, 689.96, 637.56, 717.41],
        8.7864049080e3,
        [6.9964151270e2, 5.2771253025, 7.5962938329e-1, 1.2792483859],
        [400, 1, 0.3, 0.6], [1000, 10, 1.5, 2],
    ),
}
# fmt: on


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NIST)
def test_nonlinear_regressions_end_at_certified_values(name, dtype, x64):
    model, x, y, least, estimates, low, high = NIST[name]
    x, y = np.array(x, dtype), np.array(y, dtype)
    variance = least / (len(x) - len(estimates))

    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def misfit(b):
        return jnp.sum((model(b, x) - y) ** 2) / dtype(2 * variance)

    def evaluate(points):
        found = misfit(np.resize(points, (64, points.shape[1])).astype(dtype))
        return [np.asarray(a[: len(points)], np.float64) for a in found]

    tolerance = 1e-6 if dtype == np.float64 else 1e-3
    low, high = np.array(low), np.array(high)
    starts = np.random.default_rng(1).uniform(low, high, (8, len(low))).astype(dtype)
    settings = {"tolerance": tolerance, "max_steps": 500}
    ends = minimise(evaluate, starts, scale=(high - low) / 3, **settings)
    converged = ends.outcomes == "converged"
    assert converged.sum() >= 7
    gap = ends.values[converged] - (len(x) - len(estimates)) / 2
    assert np.max(np.abs(gap)) < 2 * tolerance
    if dtype == np.float64:
        best = ends.points[np.argmin(ends.values)]
        np.testing.assert_allclose(best, estimates, rtol=1e-3)


@pytest.mark.parametrize("sd", [1e-3, 0.03, 3.0])
def test_noise_is_measured_and_no_convergence_claimed_in_it(sd):
    """Values and gradients scatter as those of a solver do, by where they are."""
    plain = quadratic(np.array([[2.0, 1.5], [1.5, 2.0]]))

    def evaluate(points):
        values, gradients = plain(points)
        mixed = np.sin(1e5 * points @ [[1.0, 0.3, 0.7], [0.2, 0.9, 0.5]])
        scatter = 12**0.5 * (1e6 * mixed % 1 - 0.5)
        return values + sd * scatter[:, 0], gradients + 0.3 * sd * scatter[:, 1:]

    starts = 30 * RNG.normal(size=(16, 2))
    ends = minimise(evaluate, starts, scale=np.full(2, 30.0), **SETTINGS)
    assert sd / 3 < np.nanmedian(ends.noise) < 3 * sd
    converged = ends.outcomes == "converged"
    exact = plain(ends.points)[0]
    assert np.all(exact[converged] < max(10 * sd, 2e-6))
    if sd < 0.1:
        assert converged.sum() >= 12
    else:
        assert set(ends.outcomes) <= {"stuck in noise", "converged"}
        assert converged.sum() <= 4


def test_what_is_no_minimum_is_not_called_one():
    start, scale = np.array([[1.0, 0.0]]), np.ones(2)

    def outcome(evaluate, **settings):
        ends = minimise(evaluate, start, scale=scale, **SETTINGS | settings)
        return ends.outcomes[0], ends.values[0], ends.points[0]

    def saddle(points):
        x, y = points.T
        value = x**2 - y**2 + y**4
        return value, np.stack([2 * x, 4 * y**3 - 2 * y], axis=1)

    word, value, end = outcome(saddle)
    assert word == "converged"
    np.testing.assert_allclose(value, -0.25, atol=1e-6)
    np.testing.assert_allclose(np.abs(end), [0, 0.5**0.5], atol=1e-3)

    def overflow(points):
        return 1e183 * (2 - np.tanh(points[:, 0])), 0 * points

    assert outcome(overflow)[:2] == ("overflow", np.inf)

    def flat(points):
        return np.full(len(points), 1e10), 0 * points

    assert outcome(flat)[:2] == ("flat", np.inf)

    def edge(points):
        x, y = points.T
        value = np.where(x > 0, 5 * x + y**2, np.inf)
        return value, np.stack([np.full_like(x, 5.0), 2 * y], axis=1)

    assert outcome(edge)[0] == "stuck at a wall"
    narrow = quadratic(np.array([[1.0, 0.9], [0.9, 1e6]]))
    assert outcome(narrow, max_steps=1)[0] == "out of steps"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-7, 1e-4, 1.0, 1e3])
def test_many_entries_with_any_scale_of_their_start(scale, dtype):
    """A first step may be too short to be seen beside the value, or far too long."""
    n = 70
    target = np.linspace(-1.0, 1.0, n)

    def evaluate(points):
        off = points - target
        value = 250.0 + 2 * np.sum(off**2, axis=1)
        return value.astype(dtype).astype(float), 4 * off

    starts = np.zeros((2, n), dtype)
    starts[1] = target
    found = minimise(
        evaluate, starts, scale=np.full(n, scale), tolerance=1e-3, max_steps=500
    )
    assert list(found.outcomes) == ["converged", "converged"]
    np.testing.assert_allclose(found.points, [target, target], atol=3e-3)
