"""One posterior, five ways: when is the cheap one enough?

Subject 4 of `Theoph` in R has swallowed theophylline, a dose in mg per kg of weight.
From samples of seven hours, with normal noise: how much is in the blood tomorrow, mg/l?

    gut' = -ka gut,    c' = (ka gut - CL c) / V,    gut(0) = dose,    c(0) = 0

Priors are wide (V: Ogilvie 1978, Clin. Pharmacokinet. 3:267; CL: Powell et al. 1978,
Am. Rev. Respir. Dis. 118:229). Seven hours do not exclude a slow clearance, so the
posterior has a long, bent tail. Five engines go for it; a grid has it exactly.

    python examples/five_posteriors.py
"""

import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from PIL import Image

import BayesianJaxModels as bjm

DATA, PICTURE = Path(__file__).parent / "data", Path(__file__).with_suffix(".png")
SAMPLES = np.loadtxt(DATA / "theophylline_subject_4.csv", delimiter=",", skiprows=4)
SEEN, LATER = SAMPLES[1:8], SAMPLES[8:]  # hour and mg/l
DOSE, HOURS = 4.40, np.linspace(0.0, 24.65, 60)
CENTRES, SDS = np.log([1.0, 0.5, 0.04, 0.4]), np.array([1.0, 0.5, 1.0, 0.7])
PRIOR = bjm.Prior(default=bjm.priors.Normal(CENTRES, SDS))
SMALL = {"num_steps": 200, "num_samples": 200, "num_cells": 20}
CLOSING = """
Exactly, the band is {:.2f} to {:.2f} mg/l. Mean field has the middle nearly right (off
by {:.2f} sd at most) and is sure of what nobody saw. Linear response mends the widths,
but no normal distribution bends: k-hats above 0.7 say so. The cheap fit is enough for
the middle, and for a band if `diagnose` is silent. Importance sampling fails (and says
so) with hundreds of unknowns. No engine knows whether model and prior are right."""


class OneCompartment(bjm.Module):
    """The logarithms of ka (per h), V (l/kg), CL (l/h/kg) and the noise (mg/l)."""

    logs: bjm.AbstractParameter

    def concentration(self, hours=HOURS):
        """In the blood, mg/l: Bateman's solution of the equations."""
        ka, v, cl, _ = jnp.exp(self.logs.mean)
        decay = jnp.exp(-cl / v * hours) - jnp.exp(-ka * hours)
        return DOSE * ka / (v * ka - cl) * decay

    def log_density(self):
        """Of samples and unknowns."""
        noise = bjm.likelihoods.NormalLikelihood(jnp.exp(self.logs.mean[3]))
        log_likelihood = noise.log_prob(self.concentration(SEEN[:, 0]), SEEN[:, 1])
        return log_likelihood + bjm.log_prior(self, PRIOR)


def grid(density, model, key, num_cells):
    """The exact posterior: a point in each cell, with its density for a weight."""
    low, high = np.array([-1.5, -2.2, -7, -1.2]), np.array([2.0, 0.0, -1.5, 1.6])
    cells = np.indices([num_cells] * 4).reshape(4, -1).T
    points = (cells + jax.random.uniform(key, cells.shape)) / num_cells
    evenly = bjm.DrawsPosterior(model, low + (high - low) * points)
    log_weights = bjm.map_posterior(density, evenly, key=key, num_samples=None)
    return bjm.DrawsPosterior(model, evenly.draws, log_weights)


def train(density, fit, key, num_steps):
    """Maximise the ELBO with Adam; of a `JointPosterior` only `joint` has gradients."""
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, num_steps))

    def loss(fit, key):
        return -bjm.elbo(fit, density, prior=None, key=key, num_samples=64).value

    def step(carry, key):
        updates, state = optimiser.update(jax.grad(loss)(carry[0], key), carry[1])
        return (optax.apply_updates(carry[0], updates), state), None

    start, keys = (fit, optimiser.init(fit)), jax.random.split(key, num_steps)
    return jax.lax.scan(step, start, keys)[0][0]


def main(*, seed=0, num_steps=1_000, num_samples=1_000, num_cells=40, output=PICTURE):
    """Fit five ways, print and draw; returns how each compares with the exact one."""
    model = OneCompartment(bjm.make_parameter(CENTRES, init_raw_stdv=0.4))
    density, key = OneCompartment.log_density, jax.random.key(seed)
    many, fits, results = {"key": key, "num_samples": 20 * num_samples}, {}, {}
    exact = grid(density, model, key, num_cells)
    truth = bjm.map_posterior(bjm.flatten_means, exact, **many)
    curves = bjm.map_posterior(OneCompartment.concentration, exact, **many)
    edges, begin = np.quantile(curves, (0.05, 0.95), axis=0), time.time()
    mode = bjm.map_estimate(density, model, key=key, prior=PRIOR).model
    rough, few = bjm.laplace(density, mode), {"key": key, "num_samples": num_samples}
    print(f"{time.time() - begin:.1f} seconds to the mode; from there:")
    engines = {
        "mean field": lambda: train(density, mode, key, num_steps),
        "+ linear response": lambda: bjm.linear_response(density, fits["mean field"]),
        "full covariance": lambda: train(density, rough, key, num_steps),
        "importance": lambda: bjm.importance(density, rough, **many),
        "NUTS": lambda: bjm.nuts(density, rough, **few),
    }
    print("                 seconds  check       z up to   sd ratios    next day, mg/l")
    row = "{:17} {:6.1f}  {:10} {:7.2f}   {:.2f} to {:.2f}   {:.2f} to {:.2f} {}"
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 5, sharex="row", sharey="row")
    for (name, engine), (top, bottom) in zip(engines.items(), panels.T, strict=True):
        with warnings.catch_warnings(record=True) as warned:  # of a poor fit
            warnings.simplefilter("always", UserWarning)
            begin = time.time()
            fit = fits[name] = engine()
            seconds, drawn = time.time() - begin, isinstance(fit, bjm.DrawsPosterior)
            found = fit.diagnostics if drawn else bjm.diagnose(density, fit, **many)
        hat = ("R", max(found.r_hat)) if name == "NUTS" else ("k", found.k_hat)
        check, colour = "{}-hat {:.2f}".format(*hat), "red" if warned else "black"
        draws = bjm.map_posterior(bjm.flatten_means, fit, **many)
        curves = bjm.map_posterior(OneCompartment.concentration, fit, **many)
        z = (draws.mean(axis=0) - truth.mean(axis=0)) / truth.std(axis=0)
        ratio = draws.std(axis=0) / truth.std(axis=0)
        low, median, high = np.quantile(curves, (0.05, 0.5, 0.95), axis=0)
        figures = max(abs(z)), min(ratio), max(ratio), low[-1], high[-1]
        print(row.format(name, seconds, check, *figures, "warns" * bool(warned)))
        results[name] = {"z": z, "sd_ratio": ratio, "warned": warned}
        top.set_title(f"{name}\n{seconds:.1f} s, {check}", color=colour)
        top.plot(*truth[:1_000, 1:3].T, "o", ms=3, mew=0, color="0.8")
        top.plot(*draws[:250, 1:3].T, "o", ms=2, mew=0)
        top.set(xlabel="log volume (l/kg)", xlim=(-1.8, 0), ylim=(-5.5, -2))
        bottom.fill_between(HOURS, low, high, alpha=0.3, lw=0, label="90 %")
        bottom.plot(HOURS, median, label="median")
        bottom.plot(HOURS, edges.T, "k--", lw=1.2, label=("exact 90 %", "_"))
        bottom.plot(*SEEN.T, "ko", ms=4, label="blood samples")
        bottom.plot(*LATER.T, "ko", ms=4, mfc="w", label="later samples, not used")
        bottom.set(xlabel="hours after the dose", ylim=(0, 10))
    print(CLOSING.format(*edges[:, -1], max(abs(results["mean field"]["z"]))))
    panels[0, 0].set_ylabel("log clearance (l/h/kg)")
    panels[1, 0].set_ylabel("theophylline (mg/l)")
    figure.suptitle(
        "One posterior, five ways (grey: the exact one; red: the package warns)"
    )
    handles = bottom.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(64).save(output, optimize=True)
    return results


if __name__ == "__main__":
    main()
