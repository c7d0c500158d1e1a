"""Lynx and hare: from the mode of an ODE to a posterior that passes its reference.

Twenty-one years of pelts, eight unknowns (Carpenter 2018, "Predator-Prey Population
Dynamics: the Lotka-Volterra model in Stan"). The cheap recipe trains independent widths
around the mode. The honest one weights draws from the curvature at the mode.

    python examples/lynx_hare.py
"""

from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

DATA, PICTURE = Path(__file__).parent / "data", Path(__file__).with_suffix(".png")
YEARS = 1900 + np.arange(30 * 12 + 1) / 12
CLOSING = """
The bands hold what the counts leave open if equations and noise are right. The cheap
rates are {:.2f} sd off at most, but with {:.2f} to {:.2f} of the sds: how far one goes
while the others stay. The noise is {:.2f} and {:.2f} sd too low: that of one curve."""
SMALL = {"num_steps": 20, "num_draws": 400}
RATES = bjm.priors.TruncatedNormal([1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05])
RULES = {
    "log_rates": bjm.priors.OnNaturalScale(RATES, jnp.exp, jnp.log),
    "log_start": bjm.priors.Normal(np.log(10), 1.0),
    "log_noise": bjm.priors.Normal(-1.0, 1.0),
}
PRIOR = bjm.Prior(RULES)


class LotkaVolterra(bjm.Module):
    """Hare and lynx: `u' = (alpha - beta v) u`, `v' = (delta u - gamma) v`, as logs."""

    log_rates: bjm.AbstractParameter  # per year
    log_start: bjm.AbstractParameter  # in 1900, thousands of pelts
    log_noise: bjm.AbstractParameter

    def __call__(self, t, log_populations, args):
        """The vector field in log populations, which cannot leave its domain."""
        alpha, beta, gamma, delta = jnp.exp(self.log_rates.mean)
        hare, lynx = jnp.exp(log_populations)
        return jnp.stack([alpha - beta * lynx, delta * hare - gamma])

    def start(self):
        """The log populations in 1900."""
        return self.log_start.mean


SOLVE = bjm.Solve(
    YEARS,
    y0=LotkaVolterra.start,
    rtol=1e-6,
    atol=1e-6,
    adjoint=diffrax.ForwardMode(),  # fast for few unknowns
)


class LogDensity(eqx.Module):
    """Of a drawn model: pelts are log-normal around its populations."""

    solve: bjm.Solve
    pelts: np.ndarray

    def __call__(self, drawn):
        """The log joint density of pelts and unknowns; a failed solve has none."""
        solved = self.solve(drawn)
        populations = jnp.exp(jnp.where(solved.succeeded, solved.ys, 0.0))
        noise = bjm.likelihoods.LogNormalLikelihood(jnp.exp(drawn.log_noise.mean))
        value = noise.log_prob(populations, self.pelts) + bjm.log_prior(drawn, PRIOR)
        return jnp.where(solved.succeeded, value, -jnp.inf)


def train_widths(model, log_density, key, num_steps):
    """The cheap recipe: maximise the ELBO over the widths, while the means stay."""
    dynamic, static = bjm.freeze_means(model)
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, num_steps))
    state, density = optimiser.init(dynamic), bjm.ForwardGradient(log_density)

    @jax.jit
    def step(dynamic, state, key):
        def loss(dynamic):
            model = bjm.unfreeze_all(dynamic, static)
            return -bjm.elbo(model, density, prior=None, key=key, num_samples=16).value

        updates, state = optimiser.update(jax.grad(loss)(dynamic), state)
        return optax.apply_updates(dynamic, updates), state

    for i in tqdm(range(num_steps), desc="independent widths"):
        dynamic, state = step(dynamic, state, jax.random.fold_in(key, i))
    return bjm.unfreeze_all(dynamic, static)


def describe(posterior, key, num_draws, published):
    """Draw; returns trajectories, and a row for each quantity that was published."""
    draws = {"key": key, "num_samples": num_draws}  # one key: the same draws
    values = jnp.exp(bjm.map_posterior(bjm.flatten_means, posterior, **draws))
    solves = bjm.map_posterior(SOLVE, posterior, **draws)
    solves = eqx.tree_at(lambda solves: solves.ys, solves, jnp.exp(solves.ys))
    ahead = solves.ys[solves.succeeded][:, 21 * 12 :: 12]  # 1921 to 1930
    mean, stdv = (np.r_[f(values, 0), f(ahead, 0).T.ravel()] for f in (np.mean, np.std))
    z, ratio = (mean - published[0]) / published[1], stdv / published[1]
    return solves, np.stack([mean, stdv, *published, z, ratio], axis=1)


def main(*, seed=0, num_steps=400, num_draws=4_000, output=PICTURE):
    """Fit, print, draw; returns the draws and the table of each fit."""
    jax.config.update("jax_enable_x64", True)
    keys = jax.random.split(jax.random.key(seed), 4)
    table = {"delimiter": ",", "dtype": None, "unpack": True}
    years, *pelts = np.genfromtxt(DATA / "hudson_lynx_hare.csv", skip_header=4, **table)
    path = DATA / "hudson_lynx_hare_reference.csv"
    names, *published = np.genfromtxt(path, skip_header=5, **table)
    model = [bjm.make_parameter(np.zeros(n), init_raw_stdv=0.2) for n in (4, 2, 2)]
    model, pelts = LotkaVolterra(*model), 1.0 * np.stack(pelts, 1)
    density = LogDensity(SOLVE.at(years), pelts)
    mode = bjm.map_estimate(density, model, key=keys[0], num_starts=16, prior=PRIOR)
    cheap = train_widths(mode.model, density, keys[1], num_steps)
    honest = bjm.importance(density, bjm.laplace(density, mode.model), key=keys[2])
    print(mode, honest.diagnostics, sep="\n")
    results, figure = {}, Figure(figsize=(11, 5.6), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row").T
    style = {"forecast_from": 1920.0, "data": (years, density.pelts), "draws": 0}
    for name, fit, axes in zip(("cheap", "honest"), (cheap, honest), grid, strict=True):
        solves, table = describe(fit, keys[3], num_draws, published)
        results[name] = {"trajectories": solves, "table": table}
        print(f"\n{name:16}  mean        sd published        sd         z  sd ratio")
        for label, row in zip(names, table, strict=True):
            print(f"{label:12}" + "".join(f"{value:10.3g}" for value in row))
        labels = ["hare (thousands)", "lynx (thousands)"]
        plot.trajectories(solves, ax=axes, labels=labels, **style)
        for axis, rows in zip(axes, table[8:].reshape(2, 10, 6), strict=True):
            edges = rows[:, 2:3] + 1.645 * rows[:, 3:4] * [-1, 1]
            axis.plot(range(1921, 1931), edges, "k_", label=("published 90 %", "_"))
            axis.set(xlim=(1900, 1930), xlabel="")
        title = "{}: sds {:.2f} to {:.2f} of the published"
        axes[0].set_title(title.format(name, table[:, 5].min(), table[:, 5].max()))
        axes[0].get_legend().remove()
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncol=6)
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(64).save(output, optimize=True)
    z, ratio = results["cheap"]["table"][:, 4:].T
    print(CLOSING.format(abs(z[:6]).max(), min(ratio[:4]), max(ratio[:4]), *-z[6:8]))
    return results


if __name__ == "__main__":
    main()
