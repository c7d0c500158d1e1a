# %% [markdown]
# # A shaken spring: learn the part of an equation that is not known
#
# A mass on a spring is shaken by a force that is recorded, and its position is read
# twice a second. For small swings the equation is known. Further out the spring gets
# stiffer and the drag grows, by laws that are not known: a network learns them.
#
# The runs are simulated, so that the truth is known. Each begins at rest. Eight of them
# are read, for 6 to 16 seconds. Eight with new forces, and eight with forces twice as
# strong as those, are kept for the check.

# %%
import common
import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal

small = common.start("A shaken spring: learn the part of an equation not known.")
rng = np.random.default_rng(0)
keys = jax.random.split(jax.random.key(0), 5)
noise_key, network_key, prior_key, fit_key, predict_key = keys

NOISE = 0.2  # of a reading, in m
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
all_forces = np.concatenate([forces, new_forces, 2 * new_forces], axis=1)

# %% [markdown]
# The acceleration is that of small swings and a missing part, a function of position
# and velocity. Between its records the force is a straight line. All runs are solved at
# once: position and velocity are arrays with an entry for each.


# %%
class Spring(bjm.Module):
    missing: bjm.BayesianMLP

    def __call__(self, t, state, forces):
        missing = self.missing(jnp.stack(state, axis=-1), sample=False)[..., 0]
        return state[1], small_swings(t, state, forces) + missing


def small_swings(t, state, forces):
    position, velocity = state
    force = diffrax.LinearInterpolation(jnp.asarray(times), forces).evaluate(t)
    return force - position - 0.2 * velocity


def true_field(t, state, forces):
    position, velocity = state
    missing = -0.3 * position**3 - 0.2 * velocity * jnp.abs(velocity)
    return velocity, small_swings(t, state, forces) + missing


at_rest = (np.zeros(24), np.zeros(24))
solved = bjm.integrate(true_field, at_rest, times, args=jnp.asarray(all_forces))
truth = np.asarray(solved.ys[0])
readings = truth[:, :8] + NOISE * rng.normal(size=(41, 8))
readings[~is_read] = np.nan

# %% [markdown]
# The problem: position is observed, and a mask says which readings there are, as all
# runs are stored with the length of the longest. Constant steps of half a second are
# rough, but fast, and good enough beside such noise.


# %%
def spring_problem(forces, readings=None):
    rest = np.zeros(forces.shape[1])
    return bjm.Problem(
        bjm.Solve(
            times,
            y0=(rest, rest),
            args=jnp.asarray(forces),
            stepsize_controller=diffrax.ConstantStepSize(),
            dt0=0.5,
        ),
        likelihood=NormalLikelihood(NOISE),
        observations=readings,
        observe=lambda solved, spring: solved.ys[0],
        mask=is_read,
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
prior_keys = jax.random.split(prior_key, num_members)
anchors = jax.vmap(lambda key: bjm.sample_prior(spring, prior, key))(prior_keys)
noise = jax.random.normal(noise_key, (num_members, *readings.shape))
noisy_readings = readings + NOISE * noise


def misfit(member, anchor, readings):
    distance = jax.tree.map(jnp.subtract, member, anchor)
    problem = spring_problem(forces, readings)
    return -problem(member) - bjm.log_prior(distance, prior)


def loss(members, key):
    return jnp.sum(jax.vmap(misfit)(members, anchors, noisy_readings))


fit = bjm.train.fit(
    loss,
    jax.tree.map(lambda leaf: 0.1 * leaf, anchors),  # draws of the prior may fly apart
    key=fit_key,
    optimiser=optax.adam(optax.cosine_decay_schedule(0.1, num_steps)),
    num_steps=num_steps,
)
posterior = bjm.DrawsPosterior(spring, jax.vmap(bjm.flatten_means)(fit.model))
print(fit)

# %% [markdown]
# The check: how much of the true positions, up to 20 seconds, is in the 90 % bands?

# %%
# No number of samples: every network once.
problem = spring_problem(all_forces)
found = bjm.predict(problem, posterior, key=predict_key, num_samples=None)
positions = found.observables
kinds = {
    "the forces of the runs that were read": slice(0, 8),
    "new forces of their kind": slice(8, 16),
    "twice these new forces": slice(16, 24),
}
for kind, runs in kinds.items():
    coverage = bjm.calibration.coverage(positions[:, :, runs], truth[:, runs], [0.9])
    print(f"Under {kind} the 90 % band holds {coverage.pointwise[0]:.0%} of the truth")

# %%
shown = [7, 16]
labels = ["position (m)", "position (m)"]
axes = plot.trajectories(positions[:, :, shown], ts=times, draws=0, labels=labels)
for panel, run in zip(axes, shown, strict=True):
    panel.plot(times, truth[:, run], "k--", lw=1, label="truth")
axes[0].plot(times, readings[:, 7], "k.", label="readings")
axes[0].axvspan(16, 20, color="0.92", zorder=0, label="not read")
axes[0].set_title("A run that was read for 16 seconds")
axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
axes[1].set(title="A new force, twice as strong", xlabel="time (s)")
axes[0].figure.set_size_inches(8.5, 4.6)
common.save("forced_oscillator")

# %% [markdown]
# The band is the spread of networks that all fit the runs. Compare what it holds with
# the 90 % that it should: an ensemble only comes near the posterior, and tends to be
# too sure. Of a spring that is pulled further than in the runs the networks know
# nothing, and their spread does not say so: as all are smooth, all go on much alike.
# Before trusting the band there, shake the spring harder.
