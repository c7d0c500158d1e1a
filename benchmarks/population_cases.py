"""Populations and what of them is measured, one in each process.

Run by `populations.py`, which says when the process began; prints what was found as
JSON.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import HalfNormal, Normal

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "examples" / "data" / "theophylline.csv"
# log absorption (1/h), log clearance (L/h) and log volume (L) of the typical subject
CENTRE = np.array([0.5, 1.0, 3.5])
# The truth of simulated ones: sds between subjects, noise (mg/L), dose (mg/kg)
TRUE_BETWEEN, TRUE_NOISE, DOSE_BY_WEIGHT = np.array([0.6, 0.3, 0.2]), 0.5, 4.5
HOURS = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 12.0, 24.0])


class Oral(bjm.Module):
    """One compartment with first-order absorption; effects are log-normal."""

    typical: bjm.AbstractParameter
    between: bjm.AbstractParameter
    effects: bjm.AbstractParameter
    noise: bjm.AbstractParameter

    def __call__(self, t, amounts, args):
        """The rates of the amounts in the gut and in the body."""
        absorption, clearance, volume = jnp.exp(self.effects.value)
        gut, body = amounts
        taken_up = absorption * gut
        return jnp.stack([-taken_up, taken_up - clearance / volume * body])


def problem_of(subject):
    """One subject, solved from its dose on."""
    return bjm.Problem(
        bjm.Solve(subject.ts, t0=0.0, y0=jnp.zeros(2), jumps=subject.doses),
        likelihood=lambda m: NormalLikelihood(m.noise.value),
        observations=subject.observations,
        observe=lambda solved, m: solved.ys[..., 1] / jnp.exp(m.effects.value[2]),
        prior=None,
    )


def case_of(subjects):
    """The population of subjects, with the priors of the reference, and a model."""
    prior = {
        "typical": Normal(CENTRE, 0.5),
        "between": HalfNormal(1.0),
        "effects": Normal(lambda m: m.typical.value, lambda m: m.between.value),
        "noise": HalfNormal(2.0),
    }
    population = bjm.Population(
        problem_of, subjects, effects="effects", prior=bjm.Prior(prior)
    )
    model = Oral(
        typical=bjm.make_parameter(CENTRE),
        between=bjm.make_parameter([0.3, 0.3, 0.3], support="positive"),
        effects=bjm.make_parameter(np.tile(CENTRE, (len(subjects), 1))),
        noise=bjm.make_parameter(1.0, support="positive"),
    )
    return population, model


def simulated(count):
    """The first of many subjects, three to six samples each, in closed form."""
    rng, subjects = np.random.default_rng(0), []
    for index in range(count):
        effects = CENTRE + TRUE_BETWEEN * rng.normal(size=3)
        absorption, clearance, volume = np.exp(effects)
        dose = DOSE_BY_WEIGHT * rng.normal(70.0, 12.0)
        ts = np.sort(rng.choice(HOURS, size=rng.integers(3, 7), replace=False))
        rate = clearance / volume
        taken_up = absorption / (absorption - rate)
        amounts = dose * taken_up * (np.exp(-rate * ts) - np.exp(-absorption * ts))
        seen = amounts / volume + TRUE_NOISE * rng.normal(size=ts.size)
        given = bjm.Doses(0.0, dose, into=0)
        subjects.append(bjm.Subject(ts, seen, doses=given, name=str(index + 1)))
    return subjects


def k_hats(told):
    """What diagnostics say of weights; nothing where an engine has none."""
    names = ("k_hat", "k_hat_correction", "k_hat_subjects", "ess")
    found = {name: getattr(told, name, None) for name in names}
    return {k: None if v is None else float(np.max(v)) for k, v in found.items()}


def theophylline(started):
    """The whole script, cold, and `infer` once more with everything compiled."""
    population, model = case_of(bjm.read_events(DATA))
    posterior = bjm.infer(population, model, key=jax.random.key(0))
    table = bjm.posterior_table(posterior).parameters
    cold_s, start = time.time() - started, time.perf_counter()
    bjm.infer(population, model, key=jax.random.key(1))
    run_s = time.perf_counter() - start
    row = {"theophylline by": "infer", "cold_s": cold_s, "run_s": run_s}
    row["moments"] = {each.name: (each.mean, each.stdv) for each in table}
    return row | k_hats(posterior.diagnostics)


def subjects(started, count, num_draws):
    """A simulated population, cold, and with everything compiled.

    By the two calls that `infer` makes of a population.
    """
    from sampling_measure import clock, peak_of_process

    population, model = case_of(simulated(count))

    def draw(seed):
        fit = bjm.nested_laplace(population, model)
        key = jax.random.key(seed)
        return bjm.nested_importance(population, fit, key=key, num_samples=num_draws)

    found = []
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        diagnostics = draw(1).diagnostics  # what it complains of is written down
        cold_s = time.time() - started
        start = time.process_time()
        peak_mib = peak_of_process(lambda seed: found.append(clock(draw, seed)))
        cpu_s = time.process_time() - start
    row = {"subjects": count, "cold_s": cold_s, "run_s": found[0][0], "cpu_s": cpu_s}
    row |= {"peak_mib": peak_mib, "complaints": diagnostics.complaints()}
    return row | k_hats(diagnostics)


TASKS = {"theophylline": theophylline, "subjects": subjects}

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    name, *counts, started = sys.argv[1:]
    found = TASKS[name](float(started), *map(int, counts))
    print(json.dumps(found, default=np.ndarray.tolist))
