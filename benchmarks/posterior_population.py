"""Simulation-based calibration of a population: the case `population`.

Subjects with three yes-or-no outcomes each. The log odds of a yes are an effect of the
subject, normal around the population's mean. So few outcomes leave effects that are not
normal, and an sd between subjects that may be near zero. Two engines see the same data:

- `nested_importance`, whose ranks must be uniform;
- `nested_laplace`, from which it starts, an approximation that must show.
"""

import time
import warnings
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from posterior_calibration import (
    NUM_DRAWS,
    equal_draws,
    missed_bars,
    picture,
    print_rows,
    row_of,
    without_ranks,
)

import BayesianJaxModels as bjm

__all__ = ["measure", "missed_bars", "picture", "print_rows"]

NUM_SUBJECTS, NUM_TRIALS = 30, 3
NAMES = ["mean", "sd", "first effect"]
# The engines, and whether they are to pass.
VARIANTS = {"nested importance": True, "nested Laplace": False}


class Bernoulli(bjm.likelihoods.AbstractLikelihood):
    """A yes is 1 and a no is 0; the prediction is the log odds of a yes."""

    observe = None
    support = bjm.likelihoods.NormalLikelihood.support  # log odds are any number
    noise = {}

    def log_density(self, prediction, observation, noise):
        """The log probability of each outcome."""
        return observation * prediction - jnp.logaddexp(0.0, prediction)

    def draw(self, key, prediction, noise):
        """Outcomes."""
        drawn = jax.random.bernoulli(key, jax.nn.sigmoid(prediction))
        return drawn.astype(prediction.dtype)


class Trials(bjm.Module):
    """What all subjects share, and the log odds of each."""

    mean: bjm.AbstractParameter
    sd: bjm.AbstractParameter
    effects: bjm.AbstractParameter

    def quantities(self):
        """What is ranked, in the order of `NAMES`."""
        return jnp.stack([self.mean.value, self.sd.value, self.effects.value[0]])


PRIOR = bjm.Prior(
    {
        "mean": bjm.priors.Normal(0.0, 1.0),
        "sd": bjm.priors.HalfNormal(1.5),
        "effects": bjm.priors.Normal(lambda m: m.mean.value, lambda m: m.sd.value),
    }
)


def make_model():
    """Where searches start."""
    return Trials(
        mean=bjm.make_parameter(0.0),
        sd=bjm.make_parameter(1.0, support="positive"),
        effects=bjm.make_parameter(np.zeros(NUM_SUBJECTS)),
    )


def log_odds(drawn):
    """Of each outcome of one subject."""
    return jnp.broadcast_to(drawn.effects.value, NUM_TRIALS)


def problem_of(subject):
    """One subject; one function for all data, so that nothing recompiles."""
    return bjm.Problem(log_odds, Bernoulli(), subject.observations, prior=None)


@eqx.filter_jit
def draw_truth(key):
    """The quantities of a draw from the prior."""
    return bjm.sample_prior(make_model(), PRIOR, key).quantities()


@eqx.filter_jit
def simulate(key, truth):
    """Outcomes of all subjects, with effects of their own but for the first."""
    keys = jax.random.split(key)
    mean, sd, first = truth
    effects = mean + sd * jax.random.normal(keys[0], NUM_SUBJECTS, truth.dtype)
    of_all = jnp.repeat(effects.at[0].set(first)[:, None], NUM_TRIALS, axis=1)
    return Bernoulli().sample(keys[1], of_all)


def infer(variant, key, data):
    """The posterior by an engine, and how often to draw."""
    ts = np.arange(float(NUM_TRIALS))
    subjects = [bjm.Subject(ts, outcomes) for outcomes in np.asarray(data)]
    population = bjm.Population(problem_of, subjects, prior=PRIOR, effects="effects")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the ranks are the judge
        fit = bjm.nested_laplace(population, make_model())
        if variant == "nested Laplace":
            return fit, NUM_DRAWS
        keys = jax.random.split(key)
        found = bjm.nested_importance(population, fit, key=keys[0], num_samples=500)
    return equal_draws(found, keys[1]), None  # each of them once


def posterior_draws(variant, key, data):
    """The quantities of draws with equal weights."""
    keys = jax.random.split(key)
    posterior, count = infer(variant, keys[0], data)
    quantities = Trials.quantities
    return bjm.map_posterior(quantities, posterior, key=keys[1], num_samples=count)


def calibrate(variant, seed, num_simulations):
    """The row of one variant."""
    start = time.perf_counter()
    sbc = bjm.calibration.simulation_based_calibration(
        draw_truth,
        simulate,
        partial(posterior_draws, variant),
        key=jax.random.key(seed),
        num_simulations=num_simulations,
    )
    seconds = time.perf_counter() - start
    return row_of(variant, seed, VARIANTS[variant], NAMES, sbc, seconds)


def run(seed, num_simulations=200):
    """A row for every variant, by the same data."""
    return [calibrate(variant, seed, num_simulations) for variant in VARIANTS]


def measure(seeds):
    """Rows of all seeds without the ranks, and those of the first with them to draw."""
    return without_ranks([run(seed) for seed in seeds])
