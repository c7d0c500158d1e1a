"""Van der Pol: what the example prints and returns, and its density."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

import BayesianJaxModels as bjm


def test_runs_small(tmp_path, capsys):
    van_der_pol = importlib.import_module("examples.van_der_pol")
    found = van_der_pol.main(**van_der_pol.SMALL, output=tmp_path / "picture.png")
    assert "the prior's word" in capsys.readouterr().out
    assert found["draws"].ys.shape == (60, 100, 2)
    assert np.isfinite(found["mse"])
    assert 0 <= found["seen"] <= 1


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
