"""MAP, then variational inference: beside exact answers, and its messages."""

import importlib

import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm
from tests.examples.printed import said


def test_runs_small(tmp_path, capsys):
    map_then_vi = importlib.import_module("examples.map_then_vi")
    found = map_then_vi.main(**map_then_vi.SMALL, output=tmp_path / "picture.png")
    # The exact posterior once more: of least squares with the prior as data.
    rng = np.random.default_rng(0)
    x = np.append(rng.uniform(-3, -0.5, 35), rng.uniform(1.5, 3, 25))
    y = np.sin(1.5 * x) + 0.1 * rng.normal(size=60)
    design = np.vstack([map_then_vi.bumps(x) / 0.1, np.eye(12) / 0.5**0.5])
    mean = np.linalg.lstsq(design, np.append(y / 0.1, np.zeros(12)))[0]
    inverse = np.linalg.pinv(design)
    exact = found["exact"]
    np.testing.assert_allclose(exact["mean"], mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(exact["sd"], np.linalg.norm(inverse, axis=1), rtol=1e-8)
    best = 1 / np.linalg.norm(design, axis=0)
    np.testing.assert_allclose(found["best"], best, rtol=1e-10)
    grid = np.linspace(-3, 3, 241)
    spread = np.linalg.norm(map_then_vi.bumps(grid) @ inverse, axis=1)
    np.testing.assert_allclose(exact["spread"], spread, rtol=1e-8)
    ratio, in_gap = found["two-stage"]["spread"] / spread, (grid > -0.5) & (grid < 1.5)
    wanted = ratio[~in_gap].mean(), ratio[in_gap].mean()
    printed = said(map_then_vi.CLOSING, capsys.readouterr().out)
    np.testing.assert_allclose(printed, wanted, atol=0.0051)
    assert wanted[1] < wanted[0] < 1


def test_reaches_what_its_theory_says(tmp_path):
    map_then_vi = importlib.import_module("examples.map_then_vi")
    found = map_then_vi.main(output=tmp_path / "picture.png")
    exact, two_stage = found["exact"], found["two-stage"]
    errors = np.abs(two_stage["mean"] - exact["mean"]) / exact["sd"]
    assert np.all(errors < 0.05)
    np.testing.assert_allclose(two_stage["sd"], found["best"], rtol=0.05)
    assert np.all(found["best"] < 0.8 * exact["sd"])


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
