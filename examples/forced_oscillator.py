# %% [markdown]
# # A shaken spring: learn the part of an equation that is not known
#
# A mass on a spring is shaken by a force that is recorded, and its position is read
# twice a second. For small swings the equation is known. Further out the spring gets
# stiffer and the drag grows, by laws that are not known: a network learns them.
#
# The runs are simulated, so that the truth is known. There are eight of them, of 6 to
# 16 seconds, and each begins at rest.

# %%
import common
import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal

small = common.start("A shaken spring: learn the part of an equation not known.")
rng = np.random.default_rng(0)
keys = jax.random.split(jax.random.key(0), 5)
noise_key, network_key, prior_key, fit_key, predict_key = keys

NOISE = 0.2  # of a reading, in m
AT_REST = (np.zeros(8), np.zeros(8))  # position and velocity in eight runs
times = np.arange(41) / 2  # s, at which force and position are recorded
is_read = times[:, None] <= np.linspace(6, 16, 8)  # runs differ in length


def draw_forces(size):
    """For each run a sum of five waves with a given root mean square, in N/kg."""
    frequencies = rng.uniform(0.3, 2.0, (5, 8))  # rad/s
    phases = rng.uniform(0.0, 2 * np.pi, (5, 8))
    heights = rng.normal(size=(5, 8))
    waves = heights * np.sin(frequencies * times[:, None, None] + phases)
    total = waves.sum(axis=1)
    return total * size / total.std(axis=0)


forces = draw_forces(np.array([0.8, 1.3, 0.5, 1.1, 0.7, 1.3, 0.9, 1.2]))
new_forces = draw_forces(0.8)

# %% [markdown]
# The acceleration is that of small swings and a missing part `r(q, v)`, a function of
# position and velocity. Between its records the force is a straight line. All runs are
# solved at once: position and velocity are arrays of eight.


# %%
class Spring(bjm.Module):
    missing: bjm.BayesianMLP

    def __call__(self, t, state, forces):
        acceleration = small_swings(t, state, forces) + self.at(state)
        return state[1], acceleration

    def at(self, state):
        return self.missing(jnp.stack(state, axis=-1), sample=False)[..., 0]


def small_swings(t, state, forces):
    position, velocity = state
    force = diffrax.LinearInterpolation(jnp.asarray(times), forces).evaluate(t)
    return force - position - 0.2 * velocity


def truly_missing(state):
    position, velocity = state
    return -0.3 * position**3 - 0.2 * velocity * jnp.abs(velocity)


def true_field(t, state, forces):
    return state[1], small_swings(t, state, forces) + truly_missing(state)


@jax.jit
def solve_truth(forces):
    return bjm.integrate(true_field, AT_REST, times, args=forces).ys[0]


def true_positions(forces):
    return np.asarray(solve_truth(forces))


truth = true_positions(forces)
readings = truth + NOISE * rng.normal(size=truth.shape)

# %% [markdown]
# The problem: position is observed, and a mask says which readings there are, as all
# runs are stored with the length of the longest. Constant steps of half a second are
# rough, but fast, and good enough beside such noise.


# %%
def position(solved, spring):
    return solved.ys[0]


def spring_problem(forces, readings):
    solve = bjm.Solve(
        times,
        y0=AT_REST,
        args=jnp.asarray(forces),
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=0.5,
    )
    return bjm.Problem(
        solve,
        likelihood=NormalLikelihood(NOISE),
        observations=readings,
        observe=position,
        mask=None if readings is None else is_read,
        prior=None,
    )


prior = bjm.Prior({"missing.layers[1].W": Normal(0.0, 3.0)}, default=Normal(0.0, 1.0))

# %% [markdown]
# A normal distribution of the weights does not fit here: some weights can change much
# together without changing a run, and far enough out the spring flies apart. So many
# networks are fitted instead, side by side. Each gets readings with more noise added,
# and is pulled not to zero but to a draw of the prior. Were the position linear in the
# weights, they would be draws of the posterior; here they come near it (Pearce et al.
# 2020, "Uncertainty in Neural Networks: Approximately Bayesian Ensembling").

# %%
num_members = 4 if small else 30
num_steps = 50 if small else 600

network = bjm.BayesianMLP(
    2, 1, width=16, depth=1, bayesian=False, bayesian_bias=False, key=network_key
)
spring = Spring(network)
anchors = jax.vmap(lambda key: bjm.sample_prior(spring, prior, key))(
    jax.random.split(prior_key, num_members)
)
noise = jax.random.normal(noise_key, (num_members, *readings.shape))
noisy_readings = readings + NOISE * noise


def misfit(member, anchor, readings):
    distance = jax.tree.map(jnp.subtract, member, anchor)
    problem = spring_problem(forces, readings)
    return -problem(member) - bjm.log_prior(distance, prior)


def loss(members, key):
    return jnp.sum(jax.vmap(misfit)(members, anchors, noisy_readings))


# The first guess is that nothing is missing: draws of the prior may fly apart.
first_guess = eqx.tree_at(
    lambda springs: springs.missing.layers[1],
    anchors,
    replace_fn=lambda layer: jax.tree.map(jnp.zeros_like, layer),
)
fit = bjm.train.fit(
    loss,
    first_guess,
    key=fit_key,
    optimiser=optax.adam(optax.cosine_decay_schedule(0.1, num_steps)),
    num_steps=num_steps,
)
posterior = bjm.DrawsPosterior(spring, jax.vmap(bjm.flatten_means)(fit.model))
print(fit)

# %% [markdown]
# The check: how much of the true positions is in the 90 % bands, in the runs, under new
# forces of the same kind, and under twice those.


# %%
def predict(forces):
    problem = spring_problem(forces, None)
    # Every network once.
    return bjm.predict(problem, posterior, key=predict_key, num_samples=None)


seen = predict(forces)
new = predict(new_forces)
strong = predict(2 * new_forces)
new_truth = true_positions(new_forces)
strong_truth = true_positions(2 * new_forces)


def share_held(prediction, truth, mask=None):
    found = bjm.calibration.coverage(prediction.observables, truth, [0.9], mask=mask)
    return found.pointwise[0]


held = {
    "the runs that were seen": share_held(seen, truth, is_read),
    "new forces of their kind": share_held(new, new_truth),
    "twice these new forces": share_held(strong, strong_truth),
}
reach = {
    "the runs that were seen": np.abs(truth[is_read]).max(),
    "new forces of their kind": np.abs(new_truth).max(),
    "twice these new forces": np.abs(strong_truth).max(),
}
for kind in held:
    print(
        f"Under {kind}, up to {reach[kind]:.1f} m from rest, the 90 % band "
        f"holds {held[kind]:.0%} of the true positions"
    )

positions = np.linspace(-3, 3, 61)
standing = (positions, np.zeros(61))
learnt = bjm.map_posterior(
    lambda spring: spring.at(standing), posterior, key=predict_key, num_samples=None
)

# %%
figure, axes = plt.subplots(2, 2, figsize=(8, 4.4))


def draw_band(panel, x, draws, truth):
    low, median, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
    panel.fill_between(x, low, high, alpha=0.35, lw=0, label="90 %")
    panel.plot(x, median, label="median")
    panel.plot(x, truth, "k--", lw=1, label="truth")


def draw_run(panel, prediction, truth, run, title):
    draw_band(panel, times, prediction.observables[:, :, run], truth[:, run])
    panel.set(title=title, xlabel="time (s)", ylabel="position (m)")


draw_run(axes[0, 0], seen, truth, 7, "A run that was fitted")
axes[0, 0].plot(
    times[is_read[:, 7]], readings[is_read[:, 7], 7], "k.", label="readings"
)
axes[0, 0].axvspan(16, 20, color="0.92", zorder=0, label="not read")
draw_run(axes[0, 1], new, new_truth, 0, "A new force of the same kind")
draw_run(axes[1, 0], strong, strong_truth, 0, "The same new force, twice as strong")
draw_band(axes[1, 1], positions, learnt, truly_missing(standing))
axes[1, 1].axvspan(
    -reach["the runs that were seen"],
    reach["the runs that were seen"],
    color="0.92",
    zorder=0,
)
axes[1, 1].set(
    title="What the networks add to the equation",
    xlabel="position at rest (m); grey: seen in runs",
    ylabel="r(q, 0) (m/s²)",
)
figure.legend(
    *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5
)
common.save("forced_oscillator")

# %% [markdown]
# The band is the spread of networks that all fit the runs. Compare what it holds with
# the 90 % that it should: an ensemble only comes near the posterior, and tends to be
# too sure. Of a spring that is pulled further than in the runs the networks know
# nothing, and their spread does not say so: as all are smooth, all go on much alike.
# Before trusting the band there, shake the spring harder.
