"""Every example runs with small settings, and what it returns is looked at."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import BayesianJaxModels as bjm

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def standard_promotion():
    """Readers have JAX's default, and optax multiplies integers by floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_every_example_is_tested_and_in_the_gallery():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    gallery = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()
    for name in names:
        assert f"[`{name}.py`]({name}.py)" in gallery
        assert f"def test_{name}(" in tests


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


def test_map_then_vi(tmp_path, capsys):
    map_then_vi = importlib.import_module("examples.map_then_vi")
    output = tmp_path / "picture.png"
    results = map_then_vi.main(num_epochs=5, num_draws=50, output=output)
    assert output.stat().st_size > 10_000
    assert "Formaldehyde" in capsys.readouterr().out
    assert results["sd_at_data"] > 0


def test_map_then_vi_reaches_what_its_theory_says():
    map_then_vi = importlib.import_module("examples.map_then_vi")
    line = map_then_vi.fit_line(Figure().subplots(), num_epochs=1000)
    errors = np.abs(line["two_stage_mean"] - line["exact_mean"]) / line["exact_sd"]
    assert np.all(errors < 0.02)
    np.testing.assert_allclose(line["two_stage_sd"], line["optimal_sd"], rtol=0.05)
    np.testing.assert_allclose(
        line["optimal_sd"] / line["exact_sd"], (1 - 0.89266**2) ** 0.5, rtol=0.01
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, r"`batch_size` must be in \[1, 4\], but is 0"),
        ({"batch_size": 5}, r"`batch_size` must be in \[1, 4\], but is 5"),
        ({"Y": np.ones((3, 1))}, "`X` has 4 points, but `Y` has 3"),
        ({"Y": np.full((4, 1), np.nan)}, "`X` and `Y` must be finite"),
        ({"Y": np.ones(4, np.float32)}, "The model gives .*, but `Y` has"),
        ({"num_samples": 0}, "`num_samples` must be at least 1, but got 0"),
    ],
    ids=str,
)
def test_map_then_vi_says_what_is_wrong(change, message):
    map_then_vi = importlib.import_module("examples.map_then_vi")
    model = bjm.BayesianLinear(1, 1, key=jax.random.key(0))
    settings = {"X": np.ones((4, 1), np.float32), "Y": np.ones((4, 1), np.float32)}
    settings |= {"num_epochs": 1, "batch_size": 2} | change
    with pytest.raises(ValueError, match=message):
        map_then_vi.train_vi(
            model,
            settings.pop("X"),
            settings.pop("Y"),
            key=jax.random.key(0),
            learning_rate=0.1,
            prior_weight=0.1,
            **settings,
        )
