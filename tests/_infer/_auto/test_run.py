"""The engines of infer in turn, and what follows where one fails."""

import ast
import re
import warnings
from importlib import import_module

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors
from BayesianJaxModels._check import AllFailedError
from tests._infer._auto.line import KEY, MEAN, MODEL, PROBLEM, assert_exact

module = import_module("BayesianJaxModels._infer._auto.run")


def test_where_weights_say_no_nuts_is_asked(monkeypatch):
    pytest.importorskip("blackjax")

    def hopeless(*args, **kwargs):
        raise AllFailedError("no draw is finite")

    monkeypatch.setattr(module, "importance", hopeless)
    found = bjm.infer(PROBLEM, MODEL, key=KEY)
    assert "importance failed: no draw is finite" in found.steps[2].complaints[0]
    assert "bjm.nuts(problem, fit, key=keys[2])" in found.steps[3].call
    assert found.trustworthy
    assert found.posterior.chains == (4, 1_000)
    assert_exact(found)


def test_chains_that_their_checks_speak_against_go_on(monkeypatch):
    pytest.importorskip("blackjax")
    calls = []

    def short_at_first(*args, **kwargs):
        calls.append(kwargs)
        few = {} if len(calls) > 1 else {"num_samples": 20, "num_warmup": 50}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bjm.nuts(*args, **kwargs | few)

    monkeypatch.setattr(module, "nuts", short_at_first)
    found = bjm.infer(PROBLEM, MODEL, key=KEY, method="nuts")
    assert found.steps[-2].complaints
    assert found.trustworthy
    assert calls[1]["target_acceptance"] == 0.95
    assert found.posterior.chains == (4, 2_000)
    told = found.steps[-1].call
    assert "    num_warmup=1000,\n    num_samples=2000,\n" in told
    ast.parse(told)
    assert_exact(found)


def test_chains_that_would_take_long_are_not_begun(monkeypatch):
    def weak(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bjm.importance(*args, **kwargs, num_samples=100, num_rounds=1)

    monkeypatch.setattr(module, "importance", weak)
    monkeypatch.setattr(module, "NUM_STEPS", 300)
    monkeypatch.setattr(module, "FEW_ENTRIES", 1)
    monkeypatch.setattr(module, "LONG", 0.0)
    found = bjm.infer(PROBLEM, MODEL, key=KEY)
    assert not any("bjm.nuts" in step.call for step in found.steps)
    assert isinstance(found.posterior, bjm.JointPosterior)
    assert found.trustworthy  # by `diagnose`
    assert_exact(found)

    def doubtful(*args, **kwargs):
        diagnosis = bjm.diagnose(*args, **kwargs)
        return eqx.tree_at(lambda one: one.error, diagnosis, np.array(1.0))

    monkeypatch.setattr(module, "diagnose", doubtful)
    with pytest.warns(UserWarning, match=r"cannot tell.* NUTS would take \d+ minutes"):
        bjm.infer(PROBLEM, MODEL, key=KEY)


def test_complaints_of_chains_stay_where_longer_ones_fail(monkeypatch):
    pytest.importorskip("blackjax")

    def short_and_no_more(*args, num_samples=20, **kwargs):
        if num_samples > 20:
            raise ValueError("no longer chains")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bjm.nuts(*args, **kwargs, num_samples=20, num_warmup=50)

    monkeypatch.setattr(module, "nuts", short_and_no_more)
    with pytest.warns(UserWarning, match="speaks against"):
        found = bjm.infer(PROBLEM, MODEL, key=KEY, method="nuts")
    assert found.complaints[:-1] == found.steps[-2].complaints != ()
    assert "nuts failed: no longer chains" in found.complaints[-1]


def test_simulations_that_are_differentiated_forwards_alone(monkeypatch):
    monkeypatch.setattr(module, "FEW_ENTRIES", 1)
    monkeypatch.setattr(module, "NUM_STEPS", 300)

    def loop(drawn):
        def halve(state):
            return state[0] + 1, state[1] / 2

        return jax.lax.while_loop(lambda state: state[0] < 3, halve, (0, drawn.value))[
            1
        ]

    problem = bjm.Problem(
        loop,
        likelihoods.NormalLikelihood(0.1),
        np.array([0.2, -0.1]),
        prior=bjm.Prior(default=priors.Normal(0.0, 10.0)),
    )
    model = bjm.make_parameter(np.zeros(2))
    found = bjm.infer(problem, model, key=KEY, method="variational")
    assert "bjm.ForwardGradient(problem)" in found.steps[-3].call
    np.testing.assert_allclose(bjm.flatten_stdvs(found), 0.8, rtol=0.02)


def test_without_an_answer_all_complaints_are_kept(monkeypatch):
    def weak(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bjm.importance(*args, **kwargs, num_samples=100, num_rounds=1)

    def missing(*args, **kwargs):
        raise ImportError("pip install BayesianJaxModels[nuts]")

    monkeypatch.setattr(module, "importance", weak)
    monkeypatch.setattr(module, "nuts", missing)
    words = "effective draws are below 400. nuts failed: pip install"
    with pytest.warns(UserWarning, match=words) as said:
        found = bjm.infer(PROBLEM, MODEL, key=KEY)
    assert [warning.filename for warning in said] == [__file__]
    assert not found.trustworthy
    assert "not to be trusted as it is" in repr(found)
    assert len(found.posterior.draws) == 100


def test_the_variational_way_keeps_correlations(monkeypatch):
    monkeypatch.setattr(module, "NUM_STEPS", 300)
    found = bjm.infer(PROBLEM, MODEL, key=KEY, method="variational")
    assert found.trustworthy
    assert isinstance(found.posterior, bjm.JointPosterior)
    assert found.diagnostics is None
    assert_exact(found)
    call = found.steps[2].call.replace("2000", "300")
    names = {"bjm": bjm, "problem": PROBLEM, "optax": optax, "fit": None}
    names |= {"keys": random.split(KEY, 4)}
    names["fit"] = bjm.laplace(PROBLEM, bjm.unflatten_means(MODEL, jnp.asarray(MEAN)))
    exec(call, names)
    assert_exact(names["posterior"])


def test_networks_without_a_normal_fit_get_the_strongest_correlations(monkeypatch):
    monkeypatch.setattr(module, "NUM_STEPS", 20)
    x = np.linspace(-1.0, 1.0, 12, dtype=np.float32)[:, None]
    problem = bjm.Problem(
        lambda network: network(jnp.asarray(x), sample=False)[:, 0],
        likelihoods.NormalLikelihood(0.2),
        np.sin(2 * x[:, 0]),
        prior=bjm.Prior(default=priors.Normal(0.0, 1.0)),
    )
    network = bjm.BayesianMLP(1, 1, width=24, depth=1, key=random.key(0))
    monkeypatch.setattr(module, "MOST_CORRELATED", 70)  # it has 73
    with pytest.warns(UserWarning, match="speaks against its posterior"):
        found = bjm.infer(problem, network, key=KEY, num_starts=1)
    calls = " ".join(step.call for step in found.steps)
    assert "bjm.JointPosterior.low_rank(mode.model, 16, 0.01)" in calls
    assert "laplace" not in calls
    assert isinstance(found.posterior.joint, bjm.LowRankGaussianParameter)


def test_a_network_is_searched_from_its_own_weights_too(monkeypatch):
    """Draws of its prior fly apart, the weights that it begins with do not."""
    monkeypatch.setattr(module, "NUM_STEPS", 300)
    n = 66
    data = np.linspace(-1.0, 1.0, n)

    def simulate(drawn):
        weights = drawn.mean
        return jnp.where(jnp.abs(weights) < 3, weights, jnp.nan)

    problem = bjm.Problem(
        simulate,
        likelihoods.NormalLikelihood(0.5),
        data,
        prior=bjm.Prior(default=priors.Normal(0.0, 10.0)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bjm.infer(problem, bjm.make_parameter(np.zeros(n)), key=KEY)
    searches = [step for step in found.steps if "map_estimate" in step.call]
    assert len(searches) == 2
    assert "map_estimate failed" in searches[1].complaints[0]
    assert found.steps[2].call == "mode = own"
    exact = data / (1 + 0.5**2 / 10**2)
    np.testing.assert_allclose(bjm.flatten_means(found), exact, atol=0.02)


def test_chains_go_on_from_a_variational_fit_where_there_is_no_other(monkeypatch):
    pytest.importorskip("blackjax")
    monkeypatch.setattr(module, "NUM_STEPS", 50)
    monkeypatch.setattr(module, "MOST_BY_NUTS", 1)
    found = bjm.infer(PROBLEM, MODEL, key=KEY, method="nuts")
    calls = [step.call for step in found.steps]
    assert "diagnose" in calls[-2]
    assert calls[-1] == "posterior = bjm.nuts(problem, posterior, key=keys[2])"
    assert found.posterior.chains == (4, 1_000)
    assert_exact(found)


def test_training_that_loses_its_way_begins_again_from_a_narrower_start(monkeypatch):
    """A cubic term is all that draws of a tenth meet, and none of a hundredth."""
    monkeypatch.setattr(module, "FEW_ENTRIES", 1)
    problem = bjm.Problem(
        lambda drawn: drawn.value + 3e3 * drawn.value**3,
        likelihoods.NormalLikelihood(0.5),
        np.zeros(3),
        prior=bjm.Prior(default=priors.Normal(0.0, 10.0)),
    )
    model = bjm.make_parameter(np.full(3, 1e-3))

    def starts_of(num_steps):
        monkeypatch.setattr(module, "NUM_STEPS", num_steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bjm.infer(problem, model, key=KEY, method="variational")
        calls = [step.call for step in found.steps if "train.fit" in step.call]
        assert all(ast.parse(call) for call in calls)
        told = " ".join(step.said for step in found.steps)
        assert re.search(r"of `fit`, .* of `start`, .* of `narrow`", told)
        return [re.search(r"value,\n    (\w+),", call).group(1) for call in calls]

    assert starts_of(1)[:2] == ["start", "narrow"]
    assert starts_of(2_000) == ["start"]


def test_no_fit_is_worse_than_its_start(monkeypatch):
    monkeypatch.setattr(module, "FEW_ENTRIES", 1)
    monkeypatch.setattr(module, "NUM_STEPS", 20)
    for name in ("RATE", "RATE_TIMES_SIZE"):
        monkeypatch.setattr(module, name, 1e3)  # so high that training only harms
    found = bjm.infer(PROBLEM, MODEL, key=KEY, method="variational")
    assert [step.call for step in found.steps][-2] == "posterior = fit"
    assert sum("train.fit" in step.call for step in found.steps) == 2
    assert found.trustworthy
    assert_exact(found)


@pytest.mark.parametrize("forwards_is_faster", [True, False])
def test_gradients_go_in_the_faster_direction(monkeypatch, forwards_is_faster):
    """Which is measured beyond a dozen unknowns, in the programs that are used next."""
    rate = bjm.make_parameter(np.ones(13), support="positive")
    problem = bjm.Problem(
        bjm.Solve(
            np.array([0.0, 1.0]), y0=jnp.ones(13), vector_field=lambda m: Decay(m)
        ),
        likelihood=likelihoods.NormalLikelihood(0.1),
        observations=np.ones((2, 13)),
        prior=bjm.Prior(default=priors.LogNormal(0.0, 1.0)),
    )
    asked = []

    def seconds(problem, model):
        asked.append(isinstance(problem.simulate.adjoint, diffrax.ForwardMode))
        return 1.0 if asked[-1] == forwards_is_faster else 2.0

    monkeypatch.setattr(module, "_seconds_of_gradients", seconds)
    run = module.Run(problem, list(random.split(KEY, 4)), False)
    run.take_gradients_forwards(rate)
    assert asked == [True, False]
    assert (run.problem is not problem) == forwards_is_faster
    assert [step.said for step in run.steps] == [
        "gradients take 0.5 of the time forwards"
    ] * forwards_is_faster
    monkeypatch.setattr(module, "FORWARDS_IN_ANY_CASE", 13)
    run.take_gradients_forwards(rate)
    assert len(asked) == 2
    assert isinstance(run.problem.simulate.adjoint, diffrax.ForwardMode)


class Decay(eqx.Module):
    parameter: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.parameter.value * y


def test_the_seconds_of_gradients_are_those_of_compiled_code():
    first = module._seconds_of_gradients(PROBLEM, MODEL)
    assert 0 < first < 0.5
