"""The forced oscillator: what the example prints and returns, and its equation."""

import importlib

import diffrax
import jax
import numpy as np
import pytest
import scipy.integrate

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.forced_oscillator")


def test_runs_small(example, tmp_path, capsys):
    found = example.main(**example.SMALL, output=tmp_path / "picture.png")
    held, reach = found["held"], found["reach"]
    rng = np.random.default_rng(0)
    known, new = (example.draw_forces(rng, sizes) for sizes in (example.SIZES, 0.8))
    forces = np.concatenate([known, new, 2 * new], axis=1)
    # How far the equation goes, by SciPy; of the known runs as long as they are read.
    far = np.abs(solve(forces, lambda q, v: -0.3 * q**3 - 0.2 * v * np.abs(v))[0])
    far[:, :8] *= example.MASK
    wanted = far.reshape(-1, 3, 8).max(axis=(0, 2))
    np.testing.assert_allclose([*reach.values()], wanted, atol=2e-3)
    assert list(held) == list(reach) == ["known", "new", "strong"]
    # Four networks of few steps hold little, and less where they have not been.
    assert 0 < held["strong"] < held["known"] < 0.5
    printed = said(example.CLOSING, capsys.readouterr().out)
    assert printed[0] == 4
    np.testing.assert_allclose(
        np.take(printed, [1, 2, 5]), [*held.values()], atol=0.0051
    )
    far = reach["known"], reach["strong"]
    np.testing.assert_allclose(printed[3:5], far, atol=0.051)


def solve(forces, lacks):
    """Positions and velocities of each force, of shape `(2, times, runs)`."""
    times = np.arange(41) / 2
    num_runs = forces.shape[1]

    def field(t, state):
        q, v = state.reshape(2, -1)
        place = min(int(2 * t), 39)
        share = 2 * t - place
        force = (1 - share) * forces[place] + share * forces[place + 1]
        return np.concatenate([v, force - q - 0.2 * v + lacks(q, v)])

    solution = scipy.integrate.solve_ivp(
        field,
        (0.0, 20.0),
        np.zeros(2 * num_runs),
        t_eval=times,
        rtol=1e-7,
        atol=1e-7,
        max_step=0.1,
    )
    return np.moveaxis(solution.y.reshape(2, num_runs, -1), -1, 1)


@pytest.mark.parametrize("of_network", [False, True])
def test_motion_is_that_of_the_equation(example, of_network):
    """Beside the equation written out again, with SciPy's solver, for two runs."""
    forces = example.draw_forces(np.random.default_rng(1), example.SIZES)
    np.testing.assert_allclose(forces.std(axis=0), example.SIZES, rtol=1e-5)
    network = bjm.BayesianMLP(2, 1, 16, 1, key=jax.random.key(2))
    W, b = zip(*((np.asarray(x.W.mean), x.b.mean) for x in network.layers), strict=True)
    missing = network if of_network else example.truly_missing
    ys = bjm.integrate(
        example.spring(missing),
        example.AT_REST,
        example.TIMES,
        args=forces,
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=0.125,
    ).ys

    def of_truth(q, v):
        return -0.3 * q**3 - 0.2 * v * np.abs(v)

    def of_weights(q, v):
        hidden = np.tanh(W[0] @ np.stack([q, v]) + np.reshape(b[0], (-1, 1)))
        return (W[1] @ hidden + np.reshape(b[1], (-1, 1)))[0]

    runs = [0, 5]
    wanted = solve(forces[:, runs], of_weights if of_network else of_truth)
    # Small steps that meet the kinks of a force, in single precision.
    np.testing.assert_allclose(ys[0][:, runs], wanted[0], atol=2e-3)
    np.testing.assert_allclose(ys[1][:, runs], wanted[1], atol=2e-3)
