"""Scripts as a new user writes them, from data to a picture, beside the truth."""

import os
import runpy
import shutil
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import BayesianJaxModels as bjm

SCRIPTS = Path(__file__).parent / "scripts"
as_users = pytest.mark.skipif(
    not os.environ.get("COMPILE_AS_USERS"),
    reason="trains long: minutes, and four times as many where XLA does not optimise",
)


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


def test_lynx_hare(tmp_path, monkeypatch):
    """The published posterior, by Stan's own rule, in at most 45 lines."""
    assert len((SCRIPTS / "lynx_hare.py").read_text().splitlines()) <= 45
    data = SCRIPTS.parents[1] / "examples" / "data"
    shutil.copy(data / "hudson_lynx_hare.csv", tmp_path)
    names = run("lynx_hare", tmp_path, monkeypatch)
    assert names["posterior"].trustworthy
    path = data / "hudson_lynx_hare_reference.csv"
    lines = [line for line in path.read_text().splitlines() if line[0] != "#"]
    reference = np.genfromtxt(lines, delimiter=",", names=True, dtype=None)[:8]
    rows = bjm.posterior_table(names["posterior"]).parameters
    mean, stdv = (
        np.concatenate([getattr(r, x) for r in rows]) for x in ("mean", "stdv")
    )
    assert np.all(np.abs(mean - reference["mean"]) < 0.25 * reference["sd"])
    assert np.all(np.abs(np.log(stdv / reference["sd"])) < np.log(1.25))


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


@as_users
def test_ragged_neural_ode(tmp_path, monkeypatch):
    """The oscillator is known, and so is its scatter, .05."""
    with pytest.warns(UserWarning, match="hold back data"):
        names = run("ragged_neural_ode", tmp_path, monkeypatch)
    problem, posterior, grid = (names[x] for x in ("problem", "posterior", "grid"))

    def solve(start):
        ends = (0.0, grid[-1])
        return solve_ivp(names["van_der_pol"], ends, start, t_eval=grid, rtol=1e-8).y.T

    def hold(curves, starts, largest_error, least_coverage):
        exact = np.stack([solve(start) for start in starts])
        error = np.mean(curves.observables, axis=0) - exact
        assert np.sqrt(np.mean(error**2)) < largest_error
        noisy = exact + np.random.default_rng(5).normal(0.0, 0.05, exact.shape)
        low, high = np.quantile(curves.observations, [0.05, 0.95], axis=0)
        assert least_coverage < np.mean((low <= noisy) & (noisy <= high)) < 0.97

    hold(names["curves"], names["starts"], 0.06, 0.85)
    starts = np.random.default_rng(9).uniform(-2.0, 2.0, (20, 2))
    solve_others = bjm.Solve(grid, y0=starts, batched=True)
    others = bjm.Problem(solve_others, problem.likelihood, None, prior=None)
    draws = {"key": jax.random.key(8), "num_samples": 400}
    hold(bjm.predict(others, posterior, **draws), starts, 0.15, 0.7)
    assert 0.045 < np.mean(names["curves"].drawn.noise.value) < 0.065


@as_users
def test_recurrent_forecast(tmp_path, monkeypatch):
    """A noise of .1, and the truth that it hides, thirty steps ahead."""
    with pytest.warns(UserWarning, match="hold back data"):
        names = run("recurrent_forecast", tmp_path, monkeypatch)
    seen, truth, series = names["SEEN"], names["truth"], names["series"]
    fits, ahead = np.asarray(names["fits"].observables), np.asarray(names["ahead"])

    def error_of(draws, ts):
        return np.sqrt(np.mean((draws.mean(axis=0) - truth[ts]) ** 2))

    assert error_of(fits, slice(1, seen)) < 0.1
    forecast = error_of(ahead, slice(seen, None))
    assert forecast < 0.2
    naive = np.sqrt(np.mean((series[seen - 1] - truth[seen:]) ** 2))
    assert forecast < naive / 4
    for draws, ts in (
        (np.asarray(names["fits"].observations), slice(1, seen)),
        (ahead, slice(seen, None)),
    ):
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        assert np.mean((low <= series[ts]) & (series[ts] <= high)) > 0.8
    assert 0.08 < np.mean(names["fits"].drawn.noise.value) < 0.15
