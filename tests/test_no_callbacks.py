"""No compiled program calls Python back.

JAX keeps no program that does in its persistent cache, so that every run of a script
would compile it again, and some devices cannot run it at all.
"""

import re

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal

from ._dynamics.cases import decay
from .programs import calls_of_the_host

TS = np.array([0.0, 0.4, 1.0, 2.0])
NEWTON = optx.Newton(1e-5, 1e-5)


def below_half(t, y, args, **kwargs):
    return y - 0.5


SOLVES = {
    "defaults": {},
    "constant steps": {
        "stepsize_controller": diffrax.ConstantStepSize(),
        "dt0": 0.1,
    },
    "chosen steps": {"stepsize_controller": diffrax.StepTo(jnp.linspace(0.0, 2.0, 9))},
    "clipped steps": {
        "stepsize_controller": diffrax.ClipStepSizeController(
            diffrax.PIDController(1e-5, 1e-5), step_ts=jnp.array([0.3])
        )
    },
    "first step": {"dt0": 0.1},
    "jumps of the field": {"jump_ts": np.array([0.5])},
    "doses": {"jumps": bjm.Doses(0.5, 1.0, duration=0.3)},
    "jumps": {"jumps": bjm.Jumps([0.0, 0.5], lambda t, y, rate: y + rate)},
    "doses of the model": {"jumps": lambda field: bjm.Doses(jnp.array(0.5), 1.0)},
    "mask": {"mask": np.array([True, True, False, True])},
    "later start": {"t0": -0.5},
    "implicit": {"solver": diffrax.Kvaerno3()},
    "many stages": {"solver": diffrax.Dopri8()},
    "direct": {"adjoint": diffrax.DirectAdjoint()},
    "forward": {"adjoint": diffrax.ForwardMode()},
    "backsolve": {"adjoint": diffrax.BacksolveAdjoint()},
    "event": {"event": diffrax.Event(below_half)},
    "event with a root": {"event": diffrax.Event(below_half, NEWTON)},
}


@pytest.mark.parametrize("settings", SOLVES.values(), ids=SOLVES.keys())
def test_solves(settings):
    def loss(rate, ts):
        solved = bjm.integrate(decay, 1.0, ts, args=rate, **settings)
        return jnp.sum(jnp.where(solved.succeeded, solved.ys, 0.0))

    forward = isinstance(settings.get("adjoint"), diffrax.ForwardMode)
    slope = jax.jacfwd if forward else jax.grad
    rates = jnp.array([0.5, 1.0])
    assert not calls_of_the_host(loss, 0.5, TS)
    assert not calls_of_the_host(slope(loss), 0.5, TS)
    assert not calls_of_the_host(jax.vmap(slope(loss), (0, None)), rates, TS)


@pytest.mark.parametrize("shared_steps", [True, False])
def test_solves_of_many_states(shared_steps):
    def loss(rate, y0, ts):
        settings = {"batched": True, "shared_steps": shared_steps}
        solved = bjm.integrate(decay, y0, ts, args=rate, **settings)
        return jnp.sum(jnp.where(solved.succeeded[:, None], solved.ys, 0.0))

    inputs = 0.5, jnp.ones(3), TS
    assert not calls_of_the_host(loss, *inputs)
    assert not calls_of_the_host(jax.grad(loss), *inputs)


class Decay(bjm.Module):
    rate: bjm.AbstractParameter
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.value * y


def model_and_problem():
    model = Decay(
        bjm.make_parameter(0.5, support="positive", stdv=0.1),
        bjm.make_parameter(0.1, support="positive", stdv=0.02),
    )
    prior = bjm.Prior(default=LogNormal(-1.0, 1.0))
    problem = bjm.Problem(
        bjm.Solve(TS, y0=1.0),
        likelihood=lambda m: NormalLikelihood(m.noise.value),
        observations=np.array([1.02, 0.79, 0.6, 0.31]),
        prior=prior,
    )
    return model, prior, problem


def test_what_users_trace(key):
    model, prior, problem = model_and_problem()

    def bound(model, key, temperature):
        settings = {"key": key, "num_samples": 3, "temperature": temperature}
        return bjm.elbo(model, problem.log_likelihood, prior=prior, **settings).value

    def draws(model, key):
        settings = {"key": key, "num_samples": 3}
        return bjm.map_posterior_pure(problem.simulate, model, **settings).ys

    def make(value, covariance, weights):
        joint = bjm.JointPosterior.gaussian(model, covariance)
        kind = bjm.MultivariateGaussianParameter.from_covariance
        mixture = bjm.MixturePosterior([model, model], weights=weights)
        parts = bjm.make_parameter(value), joint, kind(value, covariance), mixture
        return eqx.filter(parts, eqx.is_array)

    assert not calls_of_the_host(bound, model, key, 1.0)
    assert not calls_of_the_host(jax.grad(bound), model, key, 1.0)
    assert not calls_of_the_host(draws, model, key)
    assert not calls_of_the_host(problem, model)
    assert not calls_of_the_host(problem.linearised(model), model)
    assert not calls_of_the_host(lambda m: bjm.log_prior(m, prior), model)
    assert not calls_of_the_host(make, jnp.ones(2), jnp.eye(2), jnp.ones(2))
    # An error of a solve or a check that did so would be seen.
    assert calls_of_the_host(
        lambda x: eqx.error_if(x, x > 0, "in the middle of the program"), 1.0
    )


def test_what_runs_on_the_host(key, tmp_path):
    """It compiles programs of its own, which JAX writes down here."""
    model, prior, problem = model_and_problem()
    jax.clear_caches()
    jax.config.update("jax_dump_ir_to", str(tmp_path))
    try:
        posterior = bjm.infer(problem, model, key=key)
        draws = bjm.laplace(problem, bjm.map_estimate(problem, model, key=key))
        few = {"num_warmup": 20, "num_samples": 20, "num_chains": 2}
        with pytest.warns(UserWarning, match="NUTS: "):
            bjm.nuts(problem, draws, key=key, **few)
        bjm.predict(problem, posterior, key=key, num_samples=8)
        bjm.train.fit(
            lambda model, key: -problem(model),
            model,
            key=key,
            optimiser=optax.adam(1e-2),
            num_steps=2,
        )
    finally:
        jax.config.update("jax_dump_ir_to", "")
    programs = {path.name: path.read_text() for path in tmp_path.rglob("*.mlir")}
    solves = [name for name, text in programs.items() if "while" in text]
    assert len(solves) > 5, programs.keys()
    assert not [name for name, text in programs.items() if re.search("callback", text)]
