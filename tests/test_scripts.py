"""Scripts as a new user writes them, from data to a picture, beside the truth."""

import runpy
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.linalg import expm

import BayesianJaxModels as bjm

SCRIPTS = Path(__file__).parent / "scripts"


def run(name, folder, monkeypatch):
    """Run a script in a folder of its own; returns its names."""
    monkeypatch.chdir(folder)
    with jax.numpy_dtype_promotion("standard"):
        names = runpy.run_path(str(SCRIPTS / f"{name}.py"))
    plt.close("all")
    assert (folder / f"{name}.png").exists()
    return names


@pytest.mark.parametrize(
    "path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem
)
def test_they_are_short(path):
    assert len(path.read_text().splitlines()) < 60


def test_three_compartments(tmp_path, monkeypatch):
    """The data are of known rates, with a scatter of 8 %."""
    names = run("three_compartments", tmp_path, monkeypatch)
    clearance, flows = 2.5, np.array([6.0, 2.5])
    volumes = np.array([10.0, 12.0, 35.0])
    out = np.append(clearance + flows.sum(), flows) / volumes
    rates = -np.diag(out)
    rates[0, 1:], rates[1:, 0] = flows / volumes[1:], flows / volumes[0]
    hours = np.linspace(0.1, 36.0, 80)
    exact = [100 / volumes[0] * expm(rates * t)[0, 0] for t in hours]
    posterior = names["posterior"]
    assert posterior.trustworthy
    table = {row.name: row for row in bjm.posterior_table(posterior).parameters}
    for name, truth in (
        ("clearance", clearance),
        ("volumes", volumes),
        ("flows", flows),
    ):
        off = np.abs(table[name].mean - truth) / table[name].stdv
        assert np.all(off < 2)
    low, high = bjm.summarise(names["band"]).equal_tailed
    assert np.mean((low <= exact) & (exact <= high)) > 0.8
    median = np.median(names["band"].observables, axis=0)
    np.testing.assert_allclose(median, exact, rtol=0.25)
