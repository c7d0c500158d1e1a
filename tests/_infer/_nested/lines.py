"""Lines of many subjects around that of a population: all of it is known exactly."""

import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors

TYPICAL, BETWEEN, NOISE, WIDTH = np.array([1.0, -0.5]), np.array([0.8, 0.3]), 0.5, 2.0


class Lines(bjm.Module):
    """Intercepts and slopes."""

    typical: bjm.AbstractParameter
    effects: bjm.AbstractParameter


def problem_of(subject):
    """A line through the observations of one subject."""

    def line(drawn):
        intercept, slope = drawn.effects.value
        return intercept + slope * jnp.asarray(subject.ts, intercept.dtype)

    noise = likelihoods.NormalLikelihood(NOISE)
    return bjm.Problem(line, noise, subject.observations, prior=None)


def subjects_of(n, seed=0):
    """One to four observations of each."""
    rng = np.random.default_rng(seed)
    subjects = []
    for _ in range(n):
        ts = np.sort(rng.uniform(0, 3, rng.integers(1, 5)))
        intercept, slope = TYPICAL + BETWEEN * rng.normal(size=2)
        noise = NOISE * rng.normal(size=ts.size)
        subjects.append(bjm.Subject(ts, intercept + slope * ts + noise))
    return subjects


def population_of(subjects):
    """The population of them, and a model of it."""
    around = priors.Normal(lambda m: m.typical.value, BETWEEN)
    prior = bjm.Prior({"typical": priors.Normal(0.0, WIDTH), "effects": around})
    population = bjm.Population(problem_of, subjects, prior=prior, effects="effects")
    model = Lines(
        bjm.make_parameter(np.zeros(2)),
        bjm.make_parameter(np.zeros((len(subjects), 2))),
    )
    return population, model


def exact(subjects):
    """Means, standard deviations and log evidence, by conditioning a normal vector."""
    n = len(subjects)
    prior = np.tile(WIDTH**2 * np.eye(2), (n + 1, n + 1))
    for i in range(1, n + 1):
        own = slice(2 * i, 2 * i + 2)
        prior[own, own] += np.diag(BETWEEN**2)
    ys = np.concatenate([one.observations for one in subjects])
    design, first = np.zeros((len(ys), 2 * n + 2)), 0
    for i, one in enumerate(subjects, start=1):
        rows = slice(first, first + len(one.ts))
        design[rows, 2 * i : 2 * i + 2] = np.stack([np.ones_like(one.ts), one.ts], 1)
        first += len(one.ts)
    of_data = design @ prior @ design.T + NOISE**2 * np.eye(len(ys))
    gain = np.linalg.solve(of_data, design @ prior).T
    left = prior - gain @ design @ prior
    log_evidence = -(
        ys @ np.linalg.solve(of_data, ys)
        + np.linalg.slogdet(of_data)[1]
        + len(ys) * np.log(2 * np.pi)
    )
    return gain @ ys, np.sqrt(np.diag(left)), log_evidence / 2
