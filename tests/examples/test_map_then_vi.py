"""MAP, then variational inference: beside exact answers, and its messages."""

import importlib

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import BayesianJaxModels as bjm


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
