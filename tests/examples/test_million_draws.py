"""A million draws: the risk, and the same draws from two processes."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

# The script as a process of several runs it, and what a test wants to see of it.
PROGRAM = """
import runpy
import sys
import numpy as np
script, path, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, script.rpartition("/")[0])
found = runpy.run_path(script)
np.savez(path, **{name: found[name] for name in ("drawn", "lowest", "quantiles")})
"""
SCRIPT = Path(__file__).parent.parent.parent / "examples" / "million_draws.py"


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("million_draws")


def test_the_risk_is_that_of_the_draws(example):
    lowest, drawn = example["lowest"], np.asarray(example["drawn"], float)
    assert lowest.shape == (2_000,)
    assert example["num_failed"] == 0
    assert example["risk"] == np.mean(lowest < 0.2) > 0.01
    assert example["error"] == pytest.approx(np.std(lowest < 0.2) / 2_000**0.5)
    # The draws are of the distribution that the prose names.
    away = (drawn - np.log([0.35, 1143.0, 0.45])) / [0.25, 0.25, 0.12]
    wanted = [[1, -0.9, 0], [-0.9, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(np.cov(away.T), wanted, atol=0.1)
    np.testing.assert_allclose(away.mean(axis=0), 0, atol=0.1)


def test_one_process_and_two_have_the_same_draws(example, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folders = [tmp_path / f"{process}" for process in range(2)]
    running = []
    for process, folder in enumerate(folders):
        folder.mkdir()
        command = [sys.executable, "-c", PROGRAM, SCRIPT, folder / "found.npz"]
        command += ["--small", "--join", address, "2", str(process)]
        running.append(subprocess.Popen(command, cwd=folder))
    assert [process.wait(timeout=240) for process in running] == [0, 0]
    for folder in folders:
        with np.load(folder / "found.npz") as file:
            found = dict(file)
        np.testing.assert_array_equal(found["drawn"], example["drawn"])
        np.testing.assert_allclose(found["lowest"], example["lowest"], rtol=1e-4)
        assert np.mean(found["lowest"] < 0.2) == example["risk"]
        # The median is one of the whole, or the mean of those of two halves.
        difference = found["quantiles"][4] - example["quantiles"][4]
        assert np.max(np.abs(difference)) < 0.01
    assert (folders[0] / "million_draws.png").exists()
    assert not (folders[1] / "million_draws.png").exists()  # process 0 draws it


def test_the_lowest_stock_is_that_of_the_equation(example):
    for logs, lowest in zip(example["drawn"][:5], example["lowest"][:5], strict=True):
        r, capacity, start = np.exp(logs.astype(float))

        def field(t, x, r=r, capacity=capacity):
            return r * x * (1 - x) - 95.0 / capacity * x / (x + 0.05)

        times, tight = np.linspace(0, 30, 121), {"rtol": 1e-8, "atol": 1e-10}
        exact = solve_ivp(field, (0, 30), [start], t_eval=times, **tight)
        np.testing.assert_allclose(lowest, exact.y.min(), rtol=1e-3)
