"""A million draws: the risk, and the same draws from two processes."""

import importlib
import socket
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from tests.examples.printed import numbers, said

PROGRAM = """
import sys
import numpy as np
from examples import million_draws
address, process, path = sys.argv[1:]
million_draws.join(address, 2, process)
found = million_draws.main(**million_draws.SMALL, output=path + ".png")
np.savez(path, **found)
"""


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.million_draws")


def test_one_process_and_two_have_the_same_draws(example, tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    paths = [tmp_path / f"{process}.npz" for process in range(2)]
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, address, str(i), path])
        for i, path in enumerate(paths)
    ]
    output = tmp_path / "picture.png"
    here = example.main(**example.SMALL, output=output)
    printed = capsys.readouterr().out
    assert [process.wait(timeout=120) for process in running] == [0, 0]

    assert output.stat().st_size > 10_000
    [first] = said(example.CLOSING, printed)
    rows = here["rows"]
    assert rows.shape == (2_000, 4)
    assert here["num_failed"] == 0
    assert here["risk"] == np.mean(rows[:, 3] < example.LIMIT) > 0.01
    assert first == np.sum(rows[:1_000, 3] < example.LIMIT)
    assert here["error"] == pytest.approx(np.std(rows[:, 3] < 0.2) / 2_000**0.5)
    lines = printed.splitlines()
    [counts] = [numbers(line) for line in lines if " draws in " in line]
    assert (counts[0], counts[-1]) == (2_000, 0)
    [risk] = [numbers(line) for line in lines if line.startswith("risk")]
    np.testing.assert_allclose(risk[0], here["risk"], rtol=5e-3)
    # The draws are of the distribution that the docstring names.
    away = (rows[:, :3] - example.MEANS) / example.SDS
    wanted = [[1, example.CORRELATION, 0], [example.CORRELATION, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(np.cov(away.T), wanted, atol=0.1)
    for path in paths:
        with np.load(path) as file:
            found = dict(file)
        np.testing.assert_array_equal(found["rows"][:, :3], rows[:, :3])
        np.testing.assert_allclose(found["rows"], rows, rtol=1e-4)
        assert found["risk"] == here["risk"]
        # The median is one of the whole, or the mean of those of two halves.
        difference = found["quantiles"][4] - here["quantiles"][4]
        assert np.max(np.abs(difference)) < 0.01
    assert not (tmp_path / "1.npz.png").exists()  # process 0 draws the picture


def test_the_lowest_stock_is_that_of_the_equation(example, tmp_path):
    found = example.main(num_draws=100, catch=95.0, output=tmp_path / "picture.png")
    for *logs, lowest in found["rows"][:5].astype(float):
        r, capacity, start = np.exp(logs)

        def field(t, x, r=r, capacity=capacity):
            return r * x * (1 - x) - 95.0 / capacity * x / (x + 0.05)

        times, tight = example.YEARS, {"rtol": 1e-8, "atol": 1e-10}
        exact = solve_ivp(field, (0, 30), [start], t_eval=times, **tight)
        np.testing.assert_allclose(lowest, exact.y.min(), rtol=1e-3)
