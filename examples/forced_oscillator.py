"""A shaken spring: learn what its equation lacks, and predict another response.

Simulated, so that the truth is known: eight times a mass on a spring is shaken from
rest by a recorded force `u(t)` for 6 to 16 s. Its position `q` is read twice a second
with a noise of 0.2 m. Known is the equation of small swings; that the spring stiffens
and the drag grows is left to a network `r` of position and velocity:

    q'' = u(t) - q - 0.2 v + r(q, v)        truth: r = -0.3 q^3 - 0.2 v |v|

Thirty networks are fitted, each to data with more noise added and pulled to a draw of
the prior: nearly draws of the posterior (Pearce et al. 2020, arXiv:1810.05546).

    python examples/forced_oscillator.py
"""

from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from tqdm import tqdm

import BayesianJaxModels as bjm

PICTURE = Path(__file__).with_suffix(".png")
NOISE, CHUNK = 0.2, 50  # of a position (m), training steps in a compiled call
TIMES = np.arange(41, dtype=np.float32) / 2  # when force and position are recorded, s
MASK = TIMES[:, None] <= np.linspace(6, 16, 8)  # of runs padded to one length
SIZES = [0.8, 1.3, 0.5, 1.1, 0.7, 1.3, 0.9, 1.2]  # rms of their forces, N/kg
AT_REST = (np.zeros(8, np.float32), np.zeros(8, np.float32))
PRIOR = bjm.Prior(
    {"layers[1].W": bjm.priors.Normal(0.0, 3.0)}, bjm.priors.Normal(0.0, 1.0)
)
SMALL = {"num_steps": 50, "num_members": 4}
CLOSING = """
The band is the spread of {0} networks that all fit the runs. It holds {1:.0%} of the
true positions in the runs and {2:.0%} under new forces of their kind; on other noise it
may hold less, as an ensemble only comes near the posterior. Of a spring pulled beyond
the {4:.1f} m of the runs it knows nothing. Twice the force pulls it to {6:.1f} m, and
the band holds {3:.0%}: shake the spring harder before you trust it there."""


def known(t, state, forces):
    """The acceleration in small swings; forces are straight between the records."""
    position, velocity = state
    force = diffrax.LinearInterpolation(TIMES, forces).evaluate(t)
    return force - position - 0.2 * velocity


def truly_missing(states, sample=False):
    """What the network should find at positions and velocities `(..., 2)`."""
    position, velocity = states[..., :1], states[..., 1:]
    return -0.3 * position**3 - 0.2 * velocity * jnp.abs(velocity)


def spring(network):
    """The whole vector field, of all runs at once."""

    def missing(t, state, forces):
        return network(jnp.stack(state, axis=-1), sample=False)[..., 0]

    return bjm.SecondOrderVectorField(bjm.HybridVectorField(known, missing))


def draw_forces(rng, sizes):
    """Sums of five waves of 0.3 to 2 rad/s, scaled to an rms, of shape `(times, 8)`."""
    angles = rng.uniform(0.3, 2.0, (5, 8)) * TIMES[:, None, None]
    waves = rng.normal(size=(5, 8)) * np.sin(angles + rng.uniform(0, 6.3, (5, 8)))
    return np.float32(waves.sum(axis=1) * sizes / waves.sum(axis=1).std(axis=0))


def train(forces, seen, key, num_steps, num_members):
    """Fit all members, from `r = 0` on (others may be unstable); returns the draws."""
    first, second, *keys = jax.random.split(key, 2 + num_members)
    network = bjm.BayesianMLP(
        2, 1, 16, 1, bayesian=False, bayesian_bias=False, key=first
    )
    anchors = jax.vmap(lambda k: bjm.sample_prior(network, PRIOR, k))(jnp.stack(keys))
    noisy = seen + NOISE * jax.random.normal(second, (num_members, *seen.shape))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.1, num_steps))

    def loss(member, anchor, noisy, forces):
        ys = bjm.integrate(
            spring(member),
            AT_REST,
            TIMES,
            args=forces,
            stepsize_controller=diffrax.ConstantStepSize(),  # rough, and fast
            dt0=0.5,
        ).ys
        pull = bjm.log_prior(jax.tree.map(jnp.subtract, member, anchor), PRIOR)
        return (
            -bjm.likelihoods.NormalLikelihood(NOISE).log_prob(ys[0], noisy, MASK) - pull
        )

    @jax.jit
    def advance(carry, *data):
        def step(carry, _):
            gradients = jax.vmap(jax.grad(loss), (0, 0, 0, None))(carry[0], *data)
            updates, state = optimiser.update(gradients, carry[1])
            return (optax.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, carry, length=CHUNK)[0]

    quiet = jax.tree.map(jnp.zeros_like, anchors.layers[1])
    members = eqx.tree_at(lambda member: member.layers[1], anchors, quiet)
    carry = members, optimiser.init(members)
    for _ in tqdm(range(0, num_steps, CHUNK), desc=f"{CHUNK} steps each"):
        carry = advance(carry, anchors, noisy, forces)
    return bjm.DrawsPosterior(network, jax.vmap(bjm.flatten_means)(carry[0]))


def band(axes, x, draws, truth):
    """The 90 % band of draws, their median, and the truth."""
    low, median, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
    axes.fill_between(x, low, high, color="C0", alpha=0.35, lw=0, label="90 %")
    axes.plot(x, median, color="C0", label="median")
    axes.plot(x, truth, "k--", lw=1, label="truth")


def main(*, seed=0, num_steps=600, num_members=30, output=PICTURE):
    """Shake, learn, predict and draw; returns coverage and reach by kind of force."""
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    forces, new = draw_forces(rng, SIZES), draw_forces(rng, 0.8)
    solve, field = eqx.filter_jit(bjm.integrate), spring(truly_missing)
    truth, _ = solve(field, AT_REST, TIMES, args=forces).ys
    seen = truth + NOISE * rng.normal(size=truth.shape).astype(np.float32)
    posterior = train(forces, seen, key, num_steps, num_members)
    figure, held, reach = Figure(figsize=(11, 5.5), layout="constrained"), {}, {}
    panels, everywhere = figure.subplot_mosaic("ABC;DDE"), np.full_like(MASK, True)
    kinds = {"known": (forces, MASK, {"A": 0, "B": 4, "C": 7})}
    kinds |= {"new": (new, everywhere, {"D": 0}), "strong": (2 * new, everywhere, {})}
    each = {"key": key, "num_samples": None}
    for kind, (forces, mask, shown) in kinds.items():
        given = {"args": forces, "vector_field": spring, **each}
        draws = bjm.posterior_trajectories(posterior, AT_REST, TIMES, **given).ys[0]
        truth = np.asarray(solve(field, AT_REST, TIMES, args=forces).ys[0])
        held[kind] = bjm.calibration.coverage(draws, truth, [0.9], mask=mask).pointwise[
            0
        ]
        reach[kind] = np.abs(truth[mask]).max()
        for place, run in shown.items():
            axes, at = panels[place], mask[:, run]
            band(axes, TIMES[at], draws[:, at, run], truth[at, run])
            axes.set(title=f"A {kind} force", xlabel="time (s)", ylabel="position (m)")
            if kind == "known":
                axes.plot(TIMES[at], seen[at, run], "k.", label="read")
    at_rest = np.stack([np.linspace(-3, 3, 61), np.zeros(61)], axis=1)
    learnt = bjm.map_posterior(lambda r: r(at_rest, sample=False), posterior, **each)
    band(panels["E"], at_rest[:, 0], learnt[..., 0], truly_missing(at_rest)[:, 0])
    panels["E"].axvspan(-reach["known"], reach["known"], color="0.9", zorder=0)
    panels["E"].set(title="Learnt: r at rest (m/s²)", xlabel="position (m); grey: seen")
    panels["A"].legend(fontsize="small")
    figure.savefig(output, dpi=80)
    print(CLOSING.format(num_members, *held.values(), *reach.values()))
    return {"held": held, "reach": reach}


if __name__ == "__main__":
    main()
