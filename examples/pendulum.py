# %% [markdown]
# # A pendulum from its angle alone: a band is only as good as its equation
#
# A pendulum of 1 m is let go at rest, at 1.6 rad. A poor camera reads its angle four
# times a second, sees nothing for a while, and stops after ten seconds. Nobody measures
# the angular velocity. How will it swing for the next ten seconds?
#
# The data are simulated, so that the true swing is known. Two equations are fitted to
# them: the one that made the data, and the textbook's for small swings. Both fit.

# %%
from dataclasses import replace

import common
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

small = common.start("A pendulum from its angle alone, by two equations.")

# %% [markdown]
# The model gives the acceleration; the equations differ in how strongly gravity pulls
# back. What is unknown are the stiffness g / l, the damping, where and how fast the
# pendulum started, and how noisy the camera is.


# %%
class Pendulum(bjm.Module):
    stiffness: bjm.AbstractParameter  # 1/s^2
    damping: bjm.AbstractParameter  # 1/s
    start: bjm.AbstractParameter  # rad and rad/s
    noise: bjm.AbstractParameter  # rad
    small_swings: jax.Array  # whether the textbook is right; both share compiled code

    def __call__(self, t, state, args):
        angle, velocity = state
        pull = jnp.where(self.small_swings, angle, jnp.sin(angle))
        return -self.stiffness.value * pull - self.damping.value * velocity


right = Pendulum(
    stiffness=bjm.make_parameter(9.81, support="positive"),
    damping=bjm.make_parameter(0.15, support="positive"),
    start=bjm.make_parameter([1.6, 0.0]),
    noise=bjm.make_parameter(0.2, support="positive"),
    small_swings=jnp.array(False),
)
wrong = replace(right, small_swings=jnp.array(True))
prior = bjm.Prior(
    {
        "stiffness": LogNormal(np.log(10.0), 1.0),
        "damping": LogNormal(np.log(0.1), 1.0),
        "start": Normal(0.0, 2.0),
        "noise": LogNormal(np.log(0.1), 1.0),
    }
)

# %% [markdown]
# The numbers of the right model make the data. No fit starts from them: its searches
# start at draws of the wide prior. An angle that the camera missed is NaN, and the mask
# says which ones count. Of the state, angle and velocity, only the angle is observed.

# %%
seen_at, later = np.arange(0.0, 10.0, 0.25), np.linspace(0.0, 20.0, 401)
solve = bjm.Solve(
    seen_at,
    y0=lambda m: (m.start.value[0], m.start.value[1]),
    vector_field=bjm.SecondOrderVectorField,  # from an acceleration
)
truth, _ = solve.at(later)(right).ys  # angle and velocity
scatter = 0.2 * np.random.default_rng(0).normal(size=later.size)
angles = np.array(truth + scatter)[:200:5]  # those of `seen_at`
angles[(seen_at > 4.0) & (seen_at < 6.5)] = np.nan
problem = bjm.Problem(
    solve,
    likelihood=lambda m: NormalLikelihood(m.noise.value),
    observations=angles,
    prior=prior,
    observe=lambda solved, m: solved.ys[0],
    mask=~np.isnan(angles),
)

# %% [markdown]
# Both equations are fitted. The fits end with importance sampling, which also returns
# the log evidence, the log probability of the data under an equation.

# %%
models = {"Right equation": right, "Wrong equation": wrong}
fit_keys, ahead_keys = jax.random.split(jax.random.key(0), (2, len(models)))
posteriors = {}
for name, key in zip(models, fit_keys, strict=True):
    posteriors[name] = bjm.infer(problem, models[name], key=key, method="importance")
    print(f"{name}\n{posteriors[name]}\n")
of_right, of_wrong = (of.diagnostics.log_evidence for of in posteriors.values())
gap = of_right - of_wrong
print(f"The log evidence of the right equation is higher by {gap:.1f} nats")

# %% [markdown]
# The draws of both are solved to twice the time. How much of the true swing after the
# last angle lies in the band that should hold 90 % of it?

# %%
figure, ax = plt.subplots(figsize=(8.1, 3.8))
held = {}
for i, name in enumerate(models):
    forecast = bjm.predict(
        problem,
        posteriors[name],
        ts=later,
        key=ahead_keys[i],
        num_samples=400 if small else 2_000,
    )
    ahead = forecast.observables[:, later > 10]
    found = bjm.calibration.coverage(ahead, truth[later > 10], levels=[0.9])
    held[name] = found.pointwise[0]
    plot.trajectories(
        forecast.observables,
        ts=later,
        draws=0,
        ax=ax,
        labels=["angle (rad)"],
        colour=f"C{i}",
        legend=False,
    )
    label = f"{name}: 90 % band holds {100 * held[name]:.0f} % of the swing to come"
    ax.lines[-1].set_label(label)
    print(label)
ax.plot(later, truth, "k--", lw=1, label="truth")
ax.plot(seen_at, angles, "ko", ms=3.5, label="data")
ax.axvspan(10, 20, color="0.92", zorder=0)
ax.set(title="A pendulum, seen for 10 s and then forecast (grey)", xlabel="time (s)")
figure.legend(handles=ax.lines, loc="outside lower center", ncols=2)
common.save("pendulum")

# %% [markdown]
# Both curves run through the dots, and both fits pass their checks. Those say that a
# posterior is right for its equation, not that the equation is. A band is what the data
# leave open if the equation is right; that it may be wrong is in no band.
#
# Two things may give a wrong equation away: it has to start with a velocity,
# `start[1]`, though the pendulum was at rest, and its log evidence is lower. Neither
# need be large. So fit a second equation as well; where two that fit the data foretell
# different things, trust neither band.
