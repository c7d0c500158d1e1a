"""Lynx and hare: what the example prints and returns, and its density."""

import importlib

import jax
import numpy as np

import BayesianJaxModels as bjm


def test_lynx_hare(tmp_path, capsys):
    lynx_hare = importlib.import_module("examples.lynx_hare")
    output = tmp_path / "picture.png"
    results = lynx_hare.main(**lynx_hare.SMALL, output=output)
    printed = capsys.readouterr().out
    assert output.stat().st_size > 10_000
    assert "starts agree" in printed
    assert "ref mean" in printed
    assert "hare 1930" in printed
    for fit in results.values():
        assert fit["table"].shape == (28, 9)
        assert np.all(np.isfinite(fit["table"]))
        assert fit["populations"].shape == (50 - fit["num_failed"], 361, 2)
    model = results["honest"]["model"]
    assert isinstance(model.log_theta, bjm.MultivariateGaussianParameter)


def test_lynx_hare_density_is_the_models():
    """Beside the model written out again: natural units, and a plain Runge-Kutta."""
    lynx_hare = importlib.import_module("examples.lynx_hare")
    counts = np.exp(np.random.default_rng(0).normal(3.0, 0.5, (21, 2)))
    theta = np.array([0.55, 0.03, 0.8, 0.02, 30.0, 5.0, 0.3, 0.2])
    alpha, beta, gamma, delta = theta[:4]

    def field(z):
        return np.array([(alpha - beta * z[1]) * z[0], (delta * z[0] - gamma) * z[1]])

    populations, step = [theta[4:6]], 0.01
    for _ in range(20):
        z = populations[-1]
        for _ in range(100):
            k1 = field(z)
            k2 = field(z + step / 2 * k1)
            k3 = field(z + step / 2 * k2)
            k4 = field(z + step * k3)
            z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        populations.append(z)

    def log_normal(x, mean, stdv):
        return -0.5 * ((x - mean) / stdv) ** 2 - np.log(stdv * np.sqrt(2 * np.pi))

    expected = np.sum(
        log_normal(theta[:4], [1, 0.05, 1, 0.05], np.array([0.5, 0.05, 0.5, 0.05]))
    )
    expected += np.log(theta[:4]).sum()  # the Jacobian; the others are log-normal
    expected += log_normal(np.log(theta[4:6]), np.log(10), 1.0).sum()
    expected += log_normal(np.log(theta[6:]), -1, 1.0).sum()
    expected += log_normal(np.log(counts), np.log(populations), theta[6:]).sum()

    model = lynx_hare.LotkaVolterra(bjm.make_parameter(np.log(theta), bayesian=False))
    density = jax.jit(lynx_hare.log_density)(model, np.log(counts).astype(np.float32))
    np.testing.assert_allclose(density, expected, rtol=1e-5)
