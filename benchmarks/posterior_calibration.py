"""Simulation-based calibration of the machinery: the case `calibration`.

A damped oscillator under a constant force, `x' = v`, `v' = -stiffness x - damping v +
force`, seen with noise. Start and force are unknown and enter the solution linearly, so
that under normal priors their posterior is a normal distribution, known from a matrix
exponential. Two engines, each as it is and with a fault that must show:

- the Laplace approximation, exact here, and with its standard deviations halved;
- importance sampling where the force is positive, log-normal, and held as a logarithm,
  and with the Jacobian of that left out.
"""

import time
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from core import print_aligned
from matplotlib.figure import Figure
from posterior_cases import solve
from scipy.linalg import expm

import BayesianJaxModels as bjm

STIFFNESS, DAMPING, NOISE = 4.0, 0.5, 0.5
TIMES, FORECAST = np.arange(1.0, 6.0), 7.0
NUM_DRAWS = 100
# The observed positions of each unit vector of start and force.
DRIFT = np.array([[0, 1, 0], [-STIFFNESS, -DAMPING, 1], [0, 0, 0]])
DESIGN = np.stack([expm(DRIFT * t)[0] for t in TIMES])
NAMES = ["start position", "start velocity", "force", "forecast"]
VARIANTS = {
    "Laplace": ("laplace", None),
    "Laplace, sd halved": ("laplace", "sd"),
    "importance sampling": ("importance", None),
    "importance sampling, no Jacobian": ("importance", "jacobian"),
}


class Oscillator(bjm.Module):
    """The vector field and its start; `force` may hold a logarithm."""

    start: bjm.AbstractParameter
    force: bjm.AbstractParameter
    log_force: bool = eqx.field(static=True)

    def __call__(self, t, state, args):
        """Velocity and acceleration."""
        position, velocity = state
        force = self.force.mean[0]
        force = jnp.exp(force) if self.log_force else force
        return jnp.stack([velocity, force - STIFFNESS * position - DAMPING * velocity])

    def positions(self):
        """At the observed times, and at that of the forecast."""
        ts = jnp.asarray([0.0, *TIMES, FORECAST], self.start.mean.dtype)
        return solve(self, self.start.mean, ts).ys[1:, 0]

    def quantities(self):
        """What is ranked, in the order of `NAMES`."""
        parameters = [self.start.mean, self.force.mean]
        return jnp.concatenate([*parameters, self.positions()[-1:]])


class Density(eqx.Module):
    """The log joint density, less a share of the Jacobian of the force.

    The data are a field, so that nothing recompiles.
    """

    prior: bjm.Prior
    data: jax.Array
    left_out: jax.Array

    def __call__(self, drawn):
        """At a drawn model."""
        likelihood = bjm.likelihoods.NormalLikelihood(NOISE)
        value = likelihood.log_prob(drawn.positions()[:-1], self.data)
        value = value + bjm.log_prior(drawn, self.prior)
        # The Jacobian of the exponential is the exponential.
        return value - self.left_out * drawn.force.mean[0]


def make_model(engine):
    """The model that an engine is for, and its prior."""
    start, force = (bjm.make_parameter(np.zeros(size)) for size in (2, 1))
    positive = bjm.priors.OnNaturalScale(
        bjm.priors.LogNormal(0.0, 1.0), jnp.exp, jnp.log
    )
    rules = {"force": positive} if engine == "importance" else {}
    prior = bjm.Prior(rules, default=bjm.priors.Normal(0.0, 1.0))
    return Oscillator(start, force, engine == "importance"), prior


@eqx.filter_jit
def draw_truth(model, prior, key):
    """The quantities of a draw from the prior."""
    return bjm.sample_prior(model, prior, key).quantities()


@eqx.filter_jit
def simulate(model, key, truth):
    """Noisy positions of the oscillator with these quantities."""
    drawn = bjm.unflatten_means(model, truth[:3])
    return bjm.likelihoods.NormalLikelihood(NOISE).sample(key, drawn.positions()[:-1])


def infer(engine, fault, model, prior, key, data):
    """The posterior by an engine, with a fault or without, and how often to draw."""
    density = Density(prior, data, jnp.asarray(fault == "jacobian", data.dtype))
    keys = jax.random.split(key, 3)
    mode = bjm.map_estimate(density, model, key=keys[0], num_starts=8, prior=prior)
    fit = bjm.laplace(density, mode.model)
    if engine == "laplace":
        narrow = bjm.JointPosterior.gaussian(fit.model, fit.covariance / 4)
        return narrow if fault == "sd" else fit, NUM_DRAWS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the ranks are the judge
        found = bjm.importance(density, fit, key=keys[1], num_samples=500, num_rounds=3)
    return equal_draws(found, keys[2]), None  # each of them once


def equal_draws(posterior, key):
    """As many draws with equal weights for all data, so that nothing recompiles."""
    log_weights = np.asarray(posterior.log_weights, float)
    weights = np.exp(log_weights - log_weights.max())
    pick = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    picked = pick.choice(len(weights), NUM_DRAWS, p=weights / weights.sum())
    draws = jnp.asarray(np.asarray(posterior.draws)[picked])
    return bjm.DrawsPosterior(posterior.model, draws)


def largest_error(fit, data):
    """How far a fit is from the exact posterior, in its standard deviations."""
    design = DESIGN / NOISE
    covariance = np.linalg.inv(np.eye(3) + design.T @ design)
    mean = covariance @ design.T @ np.asarray(data) / NOISE
    stdv = np.sqrt(np.diagonal(covariance))
    off = (np.asarray(fit.mean) - mean) / stdv
    wide = (np.asarray(fit.covariance) - covariance) / np.outer(stdv, stdv)
    return float(max(np.abs(off).max(), np.abs(wide).max()))


def calibrate(variant, seed, num_simulations):
    """The row of one variant."""
    engine, fault = VARIANTS[variant]
    model, prior = make_model(engine)
    errors = []

    def posterior_draws(key, data):
        keys = jax.random.split(key)
        posterior, count = infer(engine, fault, model, prior, keys[0], data)
        if (engine, fault) == ("laplace", None):
            errors.append(largest_error(posterior, data))
        quantities = Oscillator.quantities
        return bjm.map_posterior(quantities, posterior, key=keys[1], num_samples=count)

    start = time.perf_counter()
    sbc = bjm.calibration.simulation_based_calibration(
        lambda key: draw_truth(model, prior, key),
        lambda key, truth: simulate(model, key, truth),
        posterior_draws,
        key=jax.random.key(seed),
        num_simulations=num_simulations,
    )
    seconds, error = time.perf_counter() - start, max(errors, default=None)
    return row_of(variant, seed, fault is None, NAMES, sbc, seconds, error)


def row_of(variant, seed, expected_to_pass, names, sbc, seconds, error=None):
    """What is written down of one variant and seed."""
    return {
        "engine": variant,
        "seed": seed,
        "expected_to_pass": expected_to_pass,
        "passes": sbc.passes,
        "inside": dict(zip(names, sbc.inside.tolist(), strict=True)),
        "max_error_in_sd": error,
        "num_failed": sbc.num_failed,
        "seconds": seconds,
        "num_ranks": sbc.num_ranks,
        "ranks": sbc.ranks.tolist(),
    }


def run(seed, num_simulations=200):
    """A row for every variant."""
    return [calibrate(variant, seed, num_simulations) for variant in VARIANTS]


def measure(seeds):
    """Rows of all seeds without the ranks, and those of the first with them to draw."""
    return without_ranks([run(seed) for seed in seeds])


def without_ranks(by_seed):
    """The rows of each seed in one list without the ranks, and the first seed's."""
    rows = [row for of_seed in by_seed for row in of_seed]
    kept = [{k: row[k] for k in row if k not in ("ranks", "num_ranks")} for row in rows]
    return {"engines": kept}, by_seed[0]


def print_rows(results):
    """A line for each variant and seed."""
    names = list(results["engines"][0]["inside"])
    headings = ("expected", "found", *names, "error in sd", "failed", "seconds")
    cells = [("engine", "seed", *headings)]
    for row in results["engines"]:
        inside = ["inside" if row["inside"][name] else "outside" for name in names]
        verdicts = [row["expected_to_pass"], row["passes"]]
        error = row["max_error_in_sd"]
        cells.append(
            (row["engine"], str(row["seed"]))
            + tuple("pass" if verdict else "fail" for verdict in verdicts)
            + (*inside, "" if error is None else f"{error:.4f}")
            + (str(row["num_failed"]), f"{row['seconds']:.1f}")
        )
    print_aligned(cells)


def missed_bars(results):
    """One sentence for each variant that is not where it should be."""
    sides = ("outside", "inside")
    return [
        f"{row['engine']}, seed {row['seed']}: {sides[row['passes']]} the band, "
        f"{sides[row['expected_to_pass']]} wanted."
        for row in results["engines"]
        if row["passes"] != row["expected_to_pass"]
    ]


def picture(rows, path):
    """The ECDF of the ranks less the uniform one, beside its band, for each variant."""
    figure = Figure(figsize=(9, 1.5 + 1.25 * len(rows)), layout="constrained")
    grid = {"sharex": True, "sharey": True, "squeeze": False}
    panels = figure.subplots(len(rows) // 2, 2, **grid)
    for row, axes in zip(rows, panels.ravel(), strict=True):
        sbc = bjm.calibration.SBC(
            np.array(row["ranks"]), row["num_ranks"], tuple(row["inside"])
        )
        share = np.arange(1, sbc.num_ranks + 1) / sbc.num_ranks
        low, high = (end - share for end in sbc.band)
        label = f"{100 * sbc.level:g} % band"
        axes.fill_between(share, low, high, color="0.88", lw=0, label=label)
        axes.plot(share, sbc.ecdf - share[:, None], lw=1.2, label=sbc.names)
        verdict = "inside the band" if row["passes"] else "outside the band"
        axes.set_title(f"{row['engine']}: {verdict}", fontsize="medium")
        axes.set(xlabel="share of ranks", ylabel="ECDF less uniform")
        axes.label_outer()
    panels[0, 0].legend(fontsize="small", ncols=2)
    figure.suptitle(
        f"Ranks of the truth among posterior draws, {len(sbc.ranks)} simulations:\n"
        "inside the band if the posterior is right"
    )
    figure.savefig(path, dpi=100)
