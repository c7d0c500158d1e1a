"""Van der Pol by a Bayesian neural ODE: half the series is seen, half is predicted.

Fifty noisy points of `x' = v, v' = (1 - x^2) v / 2 - x` on [0, 7], simulated as by
Hegde et al. 2022 (arXiv:2106.10905), who predicted it up to t = 14 with a mean squared
error of 0.13. The field is a network of 16 tanh. A normal distribution of its weights,
start and noise is trained around each of the best modes; they are mixed by `exp(ELBO)`.

    python examples/van_der_pol.py
"""

import warnings
from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from PIL import Image
from scipy.integrate import odeint
from tqdm import tqdm

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

PICTURE = Path(__file__).with_suffix(".png")
N, H, NOISE, CHUNK = 50, 1 / 7, 0.05**0.5, 50  # points, spacing, sd, training steps
TIMES = np.arange(2 * N) * H
# With narrower weights behind the tanh the best network is a flat line, the rest noise.
SCALES = {"[0].W": 0.3, "[0].b": 0.3, "[1].W": 3.0, "[1].b": 1.0}
RULES = {
    f"field.mlp.layers{end}": bjm.priors.Normal(0.0, sd) for end, sd in SCALES.items()
}
RULES |= {
    "start": bjm.priors.Normal(0.0, 3.0),
    "noise.log_scale": bjm.priors.Normal(-1.5, 0.5),
}
PRIOR = bjm.Prior(RULES)
SMALL = {"effort": (3, 20, 2, 50, 60)}
CLOSING = """
The 90 % band holds {:.0%} of the truth where there are data, {:.0%} beyond, where the
mean's squared error is {:.3f}. On other noise it may be half or twice that, or out of
phase. Where the network has seen no state, the band is the prior's word."""


class NeuralODE(bjm.Module):
    """All that is unknown."""

    field: bjm.NeuralVectorField
    start: bjm.AbstractParameter
    noise: bjm.likelihoods.NormalLikelihood

    def solve(self, num_times=2 * N):
        """The states at the first of `TIMES`, one step of the solver from each."""
        return bjm.integrate(
            self.field,
            self.start.mean,
            TIMES[:num_times],
            stepsize_controller=diffrax.ConstantStepSize(),
            dt0=H,
            max_steps=99,
        )


class LogDensity(eqx.Module):
    """Of data and prior, a function of a drawn model."""

    ys: jax.Array

    def __call__(self, drawn):
        """It is `rest` less half the squares of `residuals`."""
        fit = drawn.noise.log_prob(drawn.solve(N).ys, self.ys)
        return fit + bjm.log_prior(drawn, PRIOR)

    def residuals(self, drawn):
        """How far the data are from the solve, in units of the noise."""
        return (self.ys - drawn.solve(N).ys) / drawn.noise.noise["scale"]

    def rest(self, drawn):
        """The prior, and what the noise costs where it is wide."""
        return bjm.log_prior(drawn, PRIOR) - self.ys.size * drawn.noise.log_scale.mean


def find_members(density, key, num_starts, num_search, num_members):
    """Narrow ones (wide draws leave the data) at the best modes, by their curvature."""
    field = bjm.NeuralVectorField(2, width=16, depth=1, key=key)
    noise = bjm.likelihoods.NormalLikelihood(log_scale=bjm.make_parameter(0.0))
    model, members = NeuralODE(field, bjm.make_parameter([0.0, 0.0]), noise), []
    settings = {"num_starts": num_starts, "max_steps": num_search, "prior": PRIOR}
    warnings.simplefilter("ignore")  # near a mode will do: training moves on
    modes = bjm.map_estimate(density, model, key=key, **settings)
    for place in np.argsort(-modes.log_densities)[:num_members]:
        mode = bjm.unflatten_means(model, modes.ends[place].astype(np.float32))
        fit = bjm.laplace(density.rest, mode, residuals=density.residuals)
        joint = bjm.MultivariateGaussianParameter.from_value(0 * fit.mean, 0.05**0.5)
        members.append(bjm.JointPosterior(mode, joint, fit.basis))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def train(members, density, key, num_steps):
    """Maximise the ELBOs of all members side by side; returns them and their ELBOs."""
    adam = optax.adam(optax.cosine_decay_schedule(0.005, num_steps))
    optimiser = optax.chain(bjm.train.clip_finite_by_global_norm(100.0), adam)

    def loss(joint, member, key):
        posterior = bjm.JointPosterior(member.model, joint, member.basis)
        return -bjm.elbo(posterior, density, prior=None, key=key, num_samples=16).value

    @jax.jit
    @jax.vmap
    def advance(joint, state, member, key):
        def step(carry, key):
            value, gradient = jax.value_and_grad(loss)(carry[0], member, key)
            updates, state = optimiser.update(gradient, carry[1])
            return (optax.apply_updates(carry[0], updates), state), -value

        return jax.lax.scan(step, (joint, state), jax.random.split(key, CHUNK))

    joint, state = members.joint, jax.vmap(optimiser.init)(members.joint)
    for first in tqdm(range(0, num_steps, CHUNK), desc=f"{CHUNK} steps each"):
        keys = jax.random.split(jax.random.fold_in(key, first), len(joint.mean))
        (joint, state), elbos = advance(joint, state, members, keys)
    return eqx.tree_at(lambda m: m.joint, members, joint), elbos.mean(axis=1)


def main(*, seed=0, effort=(32, 1_000, 4, 1_500, 400), output=PICTURE):
    """So many starts, steps from each, members, steps to train them, draws."""
    keys = jax.random.split(jax.random.key(seed), 4)
    truth = odeint(
        lambda y, t: [y[1], 0.5 * (1 - y[0] ** 2) * y[1] - y[0]], [-1.5, 2.5], TIMES
    )
    data = truth[:N] + NOISE * np.random.RandomState(121).normal(size=(N, 2))
    members = find_members(LogDensity(data), keys[0], *effort[:3])
    members, elbos = train(members, LogDensity(data), keys[1], effort[3])
    posterior = bjm.ensemble(members, weights=jax.nn.softmax(elbos))
    settings = {"key": keys[2], "num_samples": effort[4]}
    draws = bjm.map_posterior(NeuralODE.solve, posterior, **settings)
    ahead, coverage = np.arange(2 * N) >= N, bjm.calibration.coverage(draws, truth)
    held = coverage.by_time[coverage.levels.index(0.9)]
    mse = np.mean((bjm.summarise(draws).mean - truth)[ahead] ** 2)
    found = {"seen": held[~ahead].mean(), "foretold": held[ahead].mean(), "mse": mse}
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplot_mosaic("AAABBB;CCDDEE", height_ratios=(3, 2))
    top, below = [panels[name] for name in "AB"], [panels[name] for name in "CDE"]
    for axes, values in zip(top, truth.T, strict=True):
        axes.plot(TIMES, values, "k--", lw=1, label="truth")
    style = {"data": (TIMES[:N], data), "forecast_from": 7.0, "draws": 0}
    plot.trajectories(draws, ax=top, labels=["position x", "velocity v"], **style)
    pit = bjm.calibration.pit(draws, truth, key=keys[3])
    plot.calibration(coverage, pit.ravel(), ts=TIMES, ax=below)
    figure.suptitle(f"Learnt from 50 points; mean squared error ahead {mse:.3f}")
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(96).save(output, optimize=True)
    print(CLOSING.format(*found.values()))
    return found | {"draws": draws}


if __name__ == "__main__":
    main()
