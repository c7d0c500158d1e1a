"""The forced oscillator: what the example prints and returns, and its equation."""

import importlib

import diffrax
import jax
import numpy as np
import pytest
import scipy.integrate

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.forced_oscillator")


def test_runs_small(example, tmp_path, capsys):
    found = example.main(**example.SMALL, output=tmp_path / "picture.png")
    printed = " ".join(capsys.readouterr().out.split())
    assert "the spread of 4 networks" in printed
    assert "shake the spring harder" in printed
    assert list(found["held"]) == ["known", "new", "strong"]
    assert all(0 <= held <= 1 for held in found["held"].values())
    reach = found["reach"]
    assert 1 < reach["new"] < reach["known"] < reach["strong"] < 4


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

    def field(t, state, run):
        q, v = state
        if of_network:
            lacks = (W[1] @ np.tanh(W[0] @ state + b[0]) + b[1])[0]
        else:
            lacks = -0.3 * q**3 - 0.2 * v * abs(v)
        return [v, np.interp(t, example.TIMES, forces[:, run]) - q - 0.2 * v + lacks]

    for run in (0, 5):
        solution = scipy.integrate.solve_ivp(
            field,
            (0.0, example.TIMES[-1]),
            [0.0, 0.0],
            t_eval=example.TIMES,
            args=(run,),
            rtol=1e-8,
            atol=1e-8,
            max_step=0.1,
        )
        # Small steps that meet the kinks of a force, in single precision.
        np.testing.assert_allclose(ys[0][:, run], solution.y[0], atol=2e-3)
        np.testing.assert_allclose(ys[1][:, run], solution.y[1], atol=2e-3)
