"""MAP, then variational inference: beside exact answers, and its messages."""

import importlib

import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm


def test_runs_small(tmp_path, capsys):
    map_then_vi = importlib.import_module("examples.map_then_vi")
    map_then_vi.main(**map_then_vi.SMALL, output=tmp_path / "picture.png")
    assert "not for the band" in capsys.readouterr().out


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
