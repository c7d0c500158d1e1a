"""The posterior of a neural ODE from a short series: a mixture of normal distributions.

1. Modes are searched from many starts. The best ones fit the data about equally well,
   and differ in what they foretell. A short fit of step 2 tells which have room around
   them: where draws leave the data at once, a mode is a needle and its bound poor.
2. Around each of the best a normal distribution over all entries, with all their
   correlations, is fitted by variational inference. It lives in the coordinates of a
   Laplace approximation, and starts much narrower: draws as wide as that one leave the
   data, and the fit would explain them by more noise.
3. The posterior is a mixture of them with weights `exp(ELBO)`: lower bounds of the
   evidence of each.
"""

import warnings
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import BayesianJaxModels as bjm

WIDTH = 16
NUM_PARALLEL, LEARNING_RATE, LARGEST_GRADIENT = 32, 0.005, 100.0
INITIAL_WIDTH = 0.05  # of the Laplace approximation's
TRIAL_RATE = 0.01  # of learning, where steps are few


class Effort(NamedTuple):
    """How much to compute."""

    num_starts: int
    num_search: int
    num_trials: int
    num_trial_steps: int
    num_modes: int
    num_steps: int


FULL = Effort(
    num_starts=48,
    num_search=2_000,
    num_trials=16,
    num_trial_steps=120,
    num_modes=4,
    num_steps=2_000,
)
SMALL = Effort(
    num_starts=4,
    num_search=10,
    num_trials=4,
    num_trial_steps=2,
    num_modes=2,
    num_steps=10,
)


class NeuralODE(bjm.Module):
    """What is unknown: the field, the state at time 0 and the scale of the noise."""

    field: bjm.NeuralVectorField
    start: bjm.AbstractParameter
    noise: bjm.likelihoods.NormalLikelihood


def make_model():
    """Says what the parameters are; starts are drawn from the prior."""
    return NeuralODE(
        bjm.NeuralVectorField(2, width=WIDTH, depth=1, key=jax.random.key(0)),
        bjm.make_parameter(np.zeros(2)),
        bjm.likelihoods.NormalLikelihood(log_scale=bjm.make_parameter(0.0)),
    )


def make_prior():
    """Features that change over the size of a cycle, and noise known to a factor of e.

    Of eight priors this one had the greatest ELBOs, on data with other noise.
    """
    return bjm.Prior(
        {
            "field.mlp.layers[0].W": bjm.priors.Normal(0.0, 0.3),
            "field.mlp.layers[0].b": bjm.priors.Normal(0.0, 0.3),
            "field.mlp.layers[1].W": bjm.priors.Normal(0.0, 3.0),
            "field.mlp.layers[1].b": bjm.priors.Normal(0.0, 1.0),
            "start": bjm.priors.Normal(0.0, 3.0),
            "noise.log_scale": bjm.priors.Normal(-1.5, 0.5),
        }
    )


def field_of(drawn):
    """The vector field of a drawn model."""
    return drawn.field


def start_of(drawn):
    """The initial state of a drawn model."""
    return drawn.start.mean


def one_step_each(num_times, spacing):
    """Options of a solve that takes one step from each time to the next."""
    controller = diffrax.ConstantStepSize()
    return {
        "stepsize_controller": controller,
        "dt0": spacing,
        "max_steps": num_times + 1,
    }


class Problem(eqx.Module):
    """The data, the prior, and what a drawn model says of them."""

    ts: jax.Array
    ys: jax.Array
    prior: bjm.Prior
    spacing: float = eqx.field(static=True)

    def predict(self, drawn):
        """The states at the times of the data."""
        options = one_step_each(len(self.ts), self.spacing)
        return bjm.integrate(drawn.field, drawn.start.mean, self.ts, **options).ys

    def log_likelihood(self, drawn):
        """The log density of the data."""
        return drawn.noise.log_prob(self.predict(drawn), self.ys)

    def log_density(self, drawn):
        """The log joint density of data and parameters."""
        return self.log_likelihood(drawn) + bjm.log_prior(drawn, self.prior)

    def residuals(self, drawn):
        """In units of the noise: half their sum of squares is in the log density."""
        scale = jnp.exp(drawn.noise.log_scale.mean)
        return (self.ys - self.predict(drawn)) / scale

    def log_rest(self, drawn):
        """The rest of the log density."""
        log_scale = drawn.noise.log_scale.mean
        return bjm.log_prior(drawn, self.prior) - self.ys.size * log_scale


def infer(problem, key, effort):
    """The posterior, and the ELBOs of its members."""
    model, keys = make_model(), jax.random.split(key, 2)
    with warnings.catch_warnings():
        # Some searches are not quite done. The fits move on from where they are.
        warnings.simplefilter("ignore", UserWarning)
        modes = bjm.map_estimate(
            problem.log_density,
            model,
            key=keys[0],
            num_starts=effort.num_starts,
            prior=problem.prior,
            max_steps=effort.num_search,
        )
        best = np.argsort(-modes.log_densities)[: effort.num_trials]
        starts = [start_at(problem, model, modes.ends[place]) for place in best]
    bounds = []
    for first in range(0, len(starts), effort.num_modes):
        group = stack(starts[first:][: effort.num_modes])
        key = jax.random.fold_in(keys[1], 1 + first)
        bounds += list(
            train(group, problem, key, effort.num_trial_steps, TRIAL_RATE)[1]
        )
    best = np.argsort(-np.array(bounds))[: effort.num_modes]
    starts = stack([starts[place] for place in best])
    fits, elbos = train(
        starts, problem, jax.random.fold_in(keys[1], 0), effort.num_steps, LEARNING_RATE
    )
    return bjm.ensemble(fits, weights=jax.nn.softmax(elbos)), elbos


def stack(starts):
    """Pytrees of one structure as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)


def start_at(problem, model, entries):
    """A narrow normal distribution at a mode, in coordinates of its curvature."""
    mode = bjm.unflatten_means(model, jnp.asarray(entries, problem.ys.dtype))
    fit = bjm.laplace(problem.log_rest, mode, residuals=problem.residuals)
    joint = bjm.MultivariateGaussianParameter.from_value(
        jnp.zeros_like(fit.mean), init_raw_stdv=INITIAL_WIDTH**0.5
    )
    return bjm.JointPosterior(mode, joint, fit.basis)


def train(starts, problem, key, num_steps, learning_rate):
    """Train all starts side by side; returns the fits, stacked, and their ELBOs."""
    # Numbers as arrays, so that trials and fits are one compiled function.
    return _train(
        starts, problem, key, jnp.asarray(num_steps), jnp.asarray(learning_rate)
    )


@eqx.filter_jit
def _train(starts, problem, key, num_steps, learning_rate):
    def train_one(start, key):
        return maximise_elbo(start, problem, key, num_steps, learning_rate)

    keys = jax.random.split(key, starts.joint.mean.shape[0])
    return eqx.filter_vmap(train_one)(starts, keys)


def maximise_elbo(start, problem, key, num_steps, learning_rate):
    """Train the parameter `joint` of a `JointPosterior` with Adam; its ELBO too.

    That is the mean over the last tenth of the steps, which hardly move any more.
    """
    fixed = [name for name in bjm.get_parameters(start) if name != "joint"]
    dynamic, static = bjm.freeze_params(start, [*fixed, "basis"])

    def rate(count):
        return learning_rate * (1 + jnp.cos(jnp.pi * count / num_steps)) / 2

    optimiser = optax.chain(
        bjm.train.clip_finite_by_global_norm(LARGEST_GRADIENT), optax.adam(rate)
    )
    num_last = jnp.maximum(num_steps // 10, 1)

    def loss(dynamic, index):
        bound = bjm.elbo(
            bjm.unfreeze_all(dynamic, static),
            problem.log_likelihood,
            prior=problem.prior,
            key=jax.random.fold_in(key, index),
            num_samples=NUM_PARALLEL,
            kl="analytic",
        )
        return -bound.value

    def step(index, carry):
        dynamic, state, total = carry
        value, gradient = jax.value_and_grad(loss)(dynamic, index)
        updates, state = optimiser.update(gradient, state)
        total -= jnp.where(index >= num_steps - num_last, value, 0.0)
        return optax.apply_updates(dynamic, updates), state, total

    carry = (dynamic, optimiser.init(dynamic), jnp.zeros(()))
    dynamic, _, total = jax.lax.fori_loop(0, num_steps, step, carry)
    return bjm.unfreeze_all(dynamic, static), total / num_last
