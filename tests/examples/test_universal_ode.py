"""The universal differential equation: what the example returns, and its density."""

import importlib

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.universal_ode")


@pytest.mark.filterwarnings("ignore:Importance sampling")
def test_universal_ode(example, tmp_path, capsys):
    found = example.main(**example.SMALL, output=tmp_path / "picture.png")
    num_draws = example.SMALL["num_draws"]
    assert found["terms"].shape == (num_draws, 2, 61, 2)
    assert found["futures"].ys.shape == (num_draws, 33, 2)
    assert np.all(found["futures"].succeeded)
    # The first enclosure, as the equation has it, where its prey and predators were
    # counted, with a noise of .15, and five years on.
    years, tight = np.arange(33) / 4, {"rtol": 1e-9, "atol": 1e-9}
    truth = solve_ivp(
        lambda t, y: [0.9 * y[0] - 0.5 * y[0] * y[1], -0.7 * y[1] + 0.35 * y[0] * y[1]],
        (0, 8),
        [1.0, 2.5],
        t_eval=years,
        **tight,
    ).y.T
    error = np.abs(np.median(found["futures"].ys, axis=0) - truth)
    assert np.max(error[:13]) < 0.15
    assert np.max(error) < 0.4
    held, width = said(example.CLOSING, capsys.readouterr().out)
    assert held == pytest.approx(found["held"], abs=0.0051)
    low, high = np.quantile(found["terms"], (0.05, 0.95), axis=0)
    widths = np.stack([high[0, :, 0] - low[0, :, 0], high[1, :, 1] - low[1, :, 1]])
    ratio = np.max(widths.max(axis=1) / widths.min(axis=1))
    assert width == pytest.approx(ratio, abs=0.51)
    # Along the cuts, within what was seen, U and V are those of the equation.
    middle = np.median(found["terms"], axis=0)
    seen = slice(5, 45)
    for i, cut in enumerate(example.CUTS):
        np.testing.assert_allclose(
            middle[i, seen, i], example.meet(cut)[seen, i], atol=0.6
        )


def test_what_the_network_should_find(example):
    """Known and unknown part are the predator-prey equation of the docstring."""
    x, y = 1.2, 0.8
    state = np.array([x, y])
    field = example.rates(0.0, state, None) + example.meet(state)
    wanted = [0.9 * x - 0.5 * x * y, -0.7 * y + 0.35 * x * y]
    np.testing.assert_allclose(field, wanted, rtol=1e-6)


def test_density_is_the_models(example, x64):
    rng = np.random.default_rng(0)
    hidden, ys = 0.5 * rng.normal(size=(3, 5)), rng.normal(2.0, 1.0, (6, 13, 2))
    points = {"bayesian": False, "bayesian_bias": False}
    layer = bjm.BayesianLinear(5, 2, **points, key=jax.random.key(0))
    model = example.Interaction(hidden, layer)
    density = example.LogDensity(ys)
    found = eqx.filter_jit(density)(model)

    W, b = (np.asarray(p.mean, float) for p in (layer.W, layer.b))

    def plain(t, state):
        features = np.tanh(hidden.T @ np.append(state, 1.0))
        return W @ features + b + [0.9, -0.7] * state

    expected = norm.logpdf(np.append(W, b), scale=2.0).sum()
    for start, counts in zip(example.STARTS, ys, strict=True):
        times, tight = example.TIMES[:13], {"rtol": 1e-9, "atol": 1e-9}
        exact = solve_ivp(plain, (0, 3), start, t_eval=times, **tight)
        expected += norm.logpdf(counts, exact.y.T, example.NOISE).sum()
    # The example's solver takes a step of fixed size from count to count.
    np.testing.assert_allclose(found, expected, rtol=1e-4)
