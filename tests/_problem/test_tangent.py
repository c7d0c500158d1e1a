"""Problems whose simulation is made linear."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors
from BayesianJaxModels._model import free_means, replace_free_means
from tests._problem.test_problem import DATA, MODEL, PRIOR, PROBLEM, SOLVE, TS

X = np.linspace(-1.0, 1.0, 12)
PRECISION = 0.5


def wave(drawn):
    return jnp.sin(drawn["k"].value * jnp.asarray(X)) * drawn["a"].value


WAVE = {
    "a": bjm.make_parameter(1.5),
    "k": bjm.make_parameter(np.linspace(1.0, 2.0, 12)),
}


def test_it_is_the_simulation_to_first_order():
    straight = PROBLEM.linearised(MODEL)
    assert straight(MODEL) == pytest.approx(float(PROBLEM(MODEL)), rel=1e-6)
    centre = free_means(MODEL)
    move = 0.3 * jnp.arange(1.0, 4.0)
    moved = replace_free_means(MODEL, centre + move)
    # exp(-rate t) with an unconstrained rate; what is observed of it stays a ratio.
    rate, slope = 0.5, jax.grad(lambda x: MODEL.rate.support.value(x))(centre[0])
    amount = 2 * np.exp(-rate * TS) * (1 - TS * slope * move[0])
    outcome = straight.outcome(moved)
    np.testing.assert_allclose(outcome.states.ys, amount, rtol=1e-3)
    volume = moved.volume.value
    np.testing.assert_allclose(outcome.observables, amount / volume, rtol=1e-3)
    assert outcome.states.succeeded


def test_other_times_have_a_tangent_too():
    later = PROBLEM.linearised(MODEL).at(TS + 1)
    expected = PROBLEM.at(TS + 1).outcome(MODEL).observables
    np.testing.assert_allclose(later.outcome(MODEL).observables, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "adjoint", [diffrax.RecursiveCheckpointAdjoint(), diffrax.ForwardMode()], ids=repr
)
def test_solves_of_either_mode(adjoint):
    chosen = bjm.Problem(
        SOLVE.replace(adjoint=adjoint), PROBLEM.likelihood, DATA, prior=PRIOR
    )
    slopes = chosen.linearised(MODEL).simulate.slopes.ys
    plain = bjm.Problem(SOLVE, PROBLEM.likelihood, DATA, prior=PRIOR)
    expected = plain.linearised(MODEL).simulate.slopes.ys
    assert slopes.shape == (3, 3)
    np.testing.assert_allclose(slopes, expected, rtol=1e-3, atol=1e-4)


def test_its_curvature_is_gauss_newton():
    """`J^T J / sd^2` and the prior's: positive where that of the problem is not."""
    problem = bjm.Problem(
        wave,
        likelihoods.NormalLikelihood(0.2),
        np.zeros(12),
        prior=bjm.Prior(default=priors.Normal(0.0, PRECISION**-0.5)),
    )
    with pytest.raises(ValueError, match=r"in \d+ of 13 it is not, above all in .*k"):
        bjm.laplace(problem, WAVE)
    k = np.linspace(1.0, 2.0, 12)
    jacobian = np.concatenate(
        [np.sin(k * X)[:, None], np.diag(1.5 * X * np.cos(k * X))], 1
    )
    precision = jacobian.T @ jacobian / 0.2**2 + PRECISION * np.eye(13)
    with pytest.warns(UserWarning, match="away from the mode"):
        fit = bjm.laplace(problem.linearised(WAVE), WAVE)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(precision), atol=2e-4)


def test_of_sums_each_term():
    both = (PROBLEM + PROBLEM).linearised(MODEL)
    assert both(MODEL) == pytest.approx(float((PROBLEM + PROBLEM)(MODEL)), rel=1e-6)
    assert len(both.terms) == 2


def test_simulations_of_several_arrays_and_of_many_draws():
    problem = bjm.Problem(
        lambda drawn: {"rise": drawn.value * X, "square": drawn.value**2 * X},
        likelihoods.NormalLikelihood(0.1),
        {"rise": X, "square": X},
        prior=bjm.Prior(default=priors.Normal()),
    )
    model = bjm.make_parameter(2.0)
    straight = problem.linearised(model)
    states = straight.simulate(bjm.make_parameter(2.5))
    np.testing.assert_allclose(states["rise"], 2.5 * X, rtol=1e-6)
    np.testing.assert_allclose(states["square"], (4 + 4 * 0.5) * X, rtol=1e-6)
    draws = jax.vmap(lambda key: bjm.sample_all_parameters(model, key))(
        random.split(random.key(0), 5)
    )
    assert jax.jit(jax.vmap(straight))(draws).shape == (5,)


def test_complex_results_move_too():
    problem = bjm.Problem(
        lambda drawn: jnp.fft.rfft(drawn.value * jnp.asarray(X, jnp.float32)),
        likelihoods.NormalLikelihood(0.1),
        np.abs(np.fft.rfft(2 * X)),
        prior=None,
        observe=lambda states, drawn: jnp.abs(states),
    )
    one, two = bjm.make_parameter(1.0), bjm.make_parameter(2.0)
    straight = problem.linearised(one)
    assert straight(two) == pytest.approx(float(problem(two)), rel=1e-4)


def test_a_solve_that_fails_has_no_tangent():
    solve = SOLVE.replace(vector_field=lambda m: lambda t, y, args: m.value * y**2)
    problem = bjm.Problem(solve, likelihoods.NormalLikelihood(0.1), DATA, prior=None)
    with pytest.raises(ValueError, match="solve fails at the means of `model`"):
        problem.linearised(bjm.make_parameter(5.0))
    straight = problem.linearised(bjm.make_parameter(0.1))
    with pytest.raises(ValueError, match="`drawn`"):
        straight(bjm.make_parameter([0.1, 0.2]))
