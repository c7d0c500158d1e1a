"""A universal differential equation: known rates, a learnt interaction with its band.

Six enclosures are stocked with known numbers of prey `x` and predators `y`, in
hundreds, and counted quarterly for three years. The counts are simulated: `x' = 0.9 x -
0.5 x y`, `y' = -0.7 y + 0.35 x y` and noise of sd 0.15. Growth and death are known; how
the two meet is left to a network, `x' = 0.9 x + U(x, y)` and `y' = -0.7 y + V(x, y)`
(Rackauckas et al. 2020, arXiv:2001.04385). Its hidden layer of 32 tanh is drawn once
and stays; the posterior is that of the output layer, by importance sampling.

    python examples/universal_ode.py
"""

from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.integrate import odeint

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

PICTURE = Path(__file__).with_suffix(".png")
WIDTH, NUM_DATA, NOISE = 32, 13, 0.15
TIMES = np.arange(33) / 4  # years
STARTS = np.array([[1, 2.5], [3, 1], [0.5, 0.5], [4, 3], [2, 4], [5, 1.5]])
PRIOR = bjm.Prior(default=bjm.priors.Normal(0.0, 2.0))
SMALL = {"num_starts": 1, "num_samples": 200, "num_draws": 50}
GRID = np.linspace(0.0, 6.0, 61)  # hundreds, of either
CUTS = np.stack([[GRID, 0 * GRID + 1.5], [0 * GRID + 2, GRID]]).swapaxes(1, 2)
CLOSING = """
At the states that were seen the 90 % bands of U and V hold {:.0%} of the true terms. In
the cuts a band is up to {:.0f} times as wide as where it is narrowest: the network does
not know that prey which are not there cannot be eaten. Trust a term where its band is
narrow; in a forecast that goes elsewhere the band is the prior's word."""


def rates(t, y, args):
    """The known part, a year: prey grow, predators die."""
    return jnp.array([0.9, -0.7]) * y


def meet(states):
    """What the network should find: U and V at states `(..., 2)`."""
    return states[..., :1] * states[..., 1:] * np.array([-0.5, 0.35])


class Interaction(bjm.Module):
    """U and V, hundreds a year: random features, and what they add up to."""

    hidden: np.ndarray  # weights of x, y and 1
    output: bjm.BayesianLinear

    def __call__(self, t, y, args):
        """The unknown part of the vector field at states `(..., 2)`."""
        inputs = jnp.concatenate([y, jnp.ones_like(y[..., :1])], axis=-1)
        return self.output(jnp.tanh(inputs @ self.hidden), sample=False)


def solve(network, y0, num_times=None):
    """The states at the first of `TIMES`, one step of the solver from each."""
    field = bjm.HybridVectorField(rates, network)
    return bjm.integrate(
        field,
        y0,
        TIMES[:num_times],
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=0.25,
    )


class LogDensity(eqx.Module):
    """Of counts and prior, a function of a drawn model."""

    ys: jax.Array

    def __call__(self, drawn):
        """From a network to a number, minus infinity where a solve fails."""
        noise = bjm.likelihoods.NormalLikelihood(NOISE)
        return noise.log_prob(self.predict(drawn), self.ys) + self.prior(drawn)

    def predict(self, drawn):
        """The states in all enclosures, of the shape of the counts."""
        return jax.vmap(lambda y0: solve(drawn, y0, NUM_DATA).ys)(STARTS)

    def residuals(self, drawn):
        """How far the counts are from what is predicted, in units of the noise."""
        return (self.ys - self.predict(drawn)) / NOISE

    def prior(self, drawn):
        """The log density of the unknowns before the data."""
        return bjm.log_prior(drawn, PRIOR)


def main(*, seed=0, num_starts=4, num_samples=20_000, num_draws=1_000, output=PICTURE):
    """Infer, predict, draw; returns the coverage, and draws of terms and futures."""
    jax.config.update("jax_enable_x64", True)
    keys, rng = jax.random.split(jax.random.key(seed), 4), np.random.default_rng(seed)
    truth = np.stack(
        [odeint(lambda y, t: rates(t, y, 0) + meet(y), y0, TIMES) for y0 in STARTS]
    )
    states = truth[:, :NUM_DATA]
    data = states + NOISE * rng.normal(size=states.shape)
    hidden = rng.normal(size=(3, WIDTH)) * [[0.5], [0.5], [1.0]]
    layer = bjm.BayesianLinear(WIDTH, 2, key=keys[0])
    model = Interaction(hidden, layer)
    density = LogDensity(jnp.asarray(data))
    # Features are nearly collinear: to 1e-6 nats a search takes some 2,000 steps.
    search = {"num_starts": num_starts, "max_steps": 2_000, "tolerance": 1e-3}
    mode = bjm.map_estimate(density, model, key=keys[1], prior=PRIOR, **search)
    print(mode)
    rough = bjm.laplace(density.prior, mode.model, residuals=density.residuals)
    # Heavier tails than a normal distribution's, but 66 unknowns take few of them.
    settings = {"num_samples": num_samples, "num_rounds": 8, "df": 12}
    posterior = bjm.importance(density, rough, key=keys[2], **settings)
    print(posterior.diagnostics)

    each = {"key": keys[3], "num_samples": num_draws}  # the same draws twice
    futures = bjm.map_posterior(lambda d: solve(d, STARTS[0]), posterior, **each)
    at = jnp.concatenate([states.reshape(-1, 2), *CUTS])
    terms = bjm.map_posterior(lambda d: d(0, at, None), posterior, **each)
    there, terms = terms[:, :-122], terms[:, -122:].reshape(-1, 2, 61, 2)
    held = bjm.calibration.coverage(
        there, meet(states).reshape(-1, 2), [0.9]
    ).pointwise[0]
    low, middle, high = np.quantile(terms, (0.05, 0.5, 0.95), axis=0)

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    panels, labels = figure.subplots(2, 2), ["prey (hundreds)", "predators (hundreds)"]
    style = {"data": (TIMES[:NUM_DATA], data[0]), "forecast_from": 3.0, "draws": 0}
    plot.trajectories(futures, ax=panels[0], labels=labels, **style)
    for i, (top, below) in enumerate(panels.T):
        top.plot(TIMES, truth[0, :, i], "k--", lw=1)
        top.set_xlabel("years")
        below.fill_between(GRID, low[i, :, i], high[i, :, i], alpha=0.3, label="90 %")
        below.plot(GRID, middle[i, :, i], color="C0", label="learnt")
        below.plot(GRID, meet(CUTS[i])[:, i], "k--", lw=1, label="truth")
        near = states[np.abs(states - [2, 1.5])[..., 1 - i] < 0.5][:, i]
        below.plot(near, 0 * near - 7.5, "k|", ms=12, label="states seen nearby")
        below.set(xlabel=labels[i], ylabel="hundreds a year", ylim=(-8, 8))
        below.set_title(("U, where y is 1.5", "V, where x is 2")[i])
    panels[1, 0].legend(loc="upper right", fontsize="small")
    figure.suptitle("What a network learnt of how predators and prey meet")
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(96).save(output, optimize=True)
    width = np.ptp([low, high], axis=0)[[0, 1], :, [0, 1]]
    print(CLOSING.format(held, np.max(width.max(axis=1) / width.min(axis=1))))
    return {"held": held, "terms": terms, "futures": futures}


if __name__ == "__main__":
    main()
