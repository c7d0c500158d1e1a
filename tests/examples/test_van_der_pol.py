"""Van der Pol: what the example prints and returns, and its density."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


def test_runs_small(tmp_path, capsys):
    van_der_pol = importlib.import_module("examples.van_der_pol")
    found = van_der_pol.main(**van_der_pol.SMALL, output=tmp_path / "picture.png")
    ys = np.asarray(found["draws"].ys, float)
    assert ys.shape == (60, 100, 2)
    # What so short a training is worth, by the equation as SciPy solves it.
    truth = solve_ivp(
        lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] / 2 - y[0]],
        (0, 99 / 7),
        [-1.5, 2.5],
        t_eval=np.arange(100) / 7,
        rtol=1e-9,
        atol=1e-9,
    ).y.T
    error = np.mean((ys.mean(axis=0) - truth)[50:] ** 2)
    np.testing.assert_allclose(found["mse"], error, rtol=1e-4)
    low, high = np.quantile(ys, (0.05, 0.95), axis=0)
    held = (low <= truth) & (truth <= high)
    shares = held[:50].mean(), held[50:].mean()
    # Beside a band's end an entry may be on either side.
    np.testing.assert_allclose([found["seen"], found["foretold"]], shares, atol=0.0101)
    printed = said(van_der_pol.CLOSING, capsys.readouterr().out)
    np.testing.assert_allclose(printed[:2], shares, atol=0.016)
    np.testing.assert_allclose(printed[2], error, atol=6e-4, rtol=1e-4)


def test_density_is_the_models():
    """Half the squares and the rest make the density, written out again."""
    van_der_pol = importlib.import_module("examples.van_der_pol")
    field = bjm.NeuralVectorField(2, width=16, depth=1, key=jax.random.key(0))
    noise = bjm.likelihoods.NormalLikelihood(log_scale=bjm.make_parameter(-1.2))
    model = van_der_pol.NeuralODE(field, bjm.make_parameter([1.0, -0.5]), noise)
    ys = np.random.default_rng(0).normal(size=(50, 2))
    density = van_der_pol.LogDensity(jnp.asarray(ys))
    value = eqx.filter_jit(density)(model)
    residuals = eqx.filter_jit(density.residuals)(model)
    halves = density.rest(model) - np.sum(np.square(residuals)) / 2
    constant = -100 * 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(value, halves + constant, rtol=1e-5)
    scales = {"layers[0].W": 0.3, "layers[0].b": 0.3, "layers[1].W": 3.0}
    expected = norm.logpdf([1.0, -0.5], scale=3.0).sum() + norm.logpdf(-1.2, -1.5, 0.5)
    for name, parameter in bjm.get_parameters(field).items():
        scale = scales.get(name.removeprefix("mlp."), 1.0)
        expected += norm.logpdf(parameter.mean, scale=scale).sum()
    solved = van_der_pol.NeuralODE.solve(model, 50).ys
    expected += norm.logpdf(ys, solved, np.exp(-1.2)).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
