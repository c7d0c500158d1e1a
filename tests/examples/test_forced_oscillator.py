"""The forced oscillator: its equation, and what the example finds."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("forced_oscillator")


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


def truly_lacks(q, v):
    return -0.3 * q**3 - 0.2 * v * np.abs(v)


def test_truth_is_that_of_the_equation(example):
    """By SciPy; the last runs have the forces of those before, twice as strong."""
    sizes = [0.8, 1.3, 0.5, 1.1, 0.7, 1.3, 0.9, 1.2]
    forces = np.asarray(example["all_forces"])
    np.testing.assert_allclose(forces.std(axis=0), [*sizes, *[0.8] * 8, *[1.6] * 8])
    np.testing.assert_allclose(forces[:, 16:], 2 * forces[:, 8:16])
    positions = solve(forces, truly_lacks)[0]
    np.testing.assert_allclose(example["truth"], positions, atol=2e-3)
    is_read = np.arange(41)[:, None] / 2 <= np.linspace(6, 16, 8)
    assert np.array_equal(~np.isnan(example["readings"]), is_read)
    noise = (example["readings"] - example["truth"][:, :8])[is_read]
    assert 0.17 < noise.std() < 0.23


def test_shares_are_those_of_the_bands(example):
    draws, truth = np.asarray(example["positions"], float), example["truth"]
    assert draws.shape == (4, 41, 24)
    assert example["found"].num_failed == 0
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    is_held = (low <= truth) & (truth <= high)
    shares = [is_held[:, runs].mean() for runs in example["kinds"].values()]
    # At the start, where all are at rest, rounding may decide.
    parts = [slice(0, 8), slice(8, 16), slice(16, 24)]
    assert list(example["kinds"].values()) == parts
    np.testing.assert_allclose(example["coverage"].pointwise, shares[2:], atol=0.03)
    # Four networks of few steps hold little, and less where they have not been.
    assert 0 < shares[2] < shares[0] < 0.5
    fit = example["fit"]
    assert fit.num_skipped == 0
    assert fit.losses[-5:].mean() < fit.losses[:5].mean() / 2


@pytest.mark.parametrize("of_network", [False, True])
def test_motion_is_that_of_the_equation(example, of_network):
    """Beside the equation written out again, with SciPy's solver, for two runs."""
    forces = example["forces"]
    network = bjm.BayesianMLP(2, 1, 16, 1, key=jax.random.key(2))
    W, b = zip(*((np.asarray(x.W.mean), x.b.mean) for x in network.layers), strict=True)
    spring = example["Spring"](network)
    ys = bjm.integrate(
        spring if of_network else example["true_field"],
        (np.zeros(8), np.zeros(8)),
        example["times"],
        args=jnp.asarray(forces),
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=0.125,
    ).ys

    def of_weights(q, v):
        hidden = np.tanh(W[0] @ np.stack([q, v]) + np.reshape(b[0], (-1, 1)))
        return (W[1] @ hidden + np.reshape(b[1], (-1, 1)))[0]

    runs = [0, 5]
    wanted = solve(forces[:, runs], of_weights if of_network else truly_lacks)
    # Small steps that meet the kinks of a force, in single precision.
    np.testing.assert_allclose(ys[0][:, runs], wanted[0], atol=2e-3)
    np.testing.assert_allclose(ys[1][:, runs], wanted[1], atol=2e-3)
    if of_network:
        # The problem takes longer steps.
        problem = example["spring_problem"](forces, example["readings"])
        solved = problem.simulate(spring).ys[0]
        np.testing.assert_allclose(solved[:, runs], wanted[0], atol=2e-2)


def test_misfit_is_the_models(example):
    """The readings that there are, and the pull to a draw of the prior."""
    network = bjm.BayesianMLP(
        2, 1, 16, 1, bayesian=False, bayesian_bias=False, key=jax.random.key(2)
    )
    member = example["Spring"](network)
    anchor = jax.tree.map(lambda leaf: leaf + 0.1, member)
    readings, is_read = example["readings"], example["is_read"]
    found = example["misfit"](member, anchor, readings)
    problem = example["spring_problem"](example["forces"], readings)
    errors = (readings - np.asarray(problem.simulate(member).ys[0]))[is_read]
    expected = -scipy.stats.norm.logpdf(errors, scale=0.2).sum()
    expected -= 16 * scipy.stats.norm.logpdf(0.1, scale=3.0)
    expected -= 49 * scipy.stats.norm.logpdf(0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
