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

small = common.start(
    "A pendulum from its angle alone, by a right and a wrong equation."
)

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

# %% [markdown]
# The numbers above make the data. No fit starts from them: its searches start at draws
# of the prior. An angle that the camera missed is NaN.

# %%
right_key, wrong_key, right_ahead, wrong_ahead = jax.random.split(jax.random.key(0), 4)
END = 10.0  # s
BLIND = (4.0, 6.5)
later = np.linspace(0.0, 20.0, 401)
seen_at = later[:200:5]
solve = bjm.Solve(
    seen_at,
    y0=lambda m: (m.start.value[0], m.start.value[1]),
    vector_field=bjm.SecondOrderVectorField,  # from an acceleration
)
truth = solve.at(later)(right).ys  # angle and velocity
scatter = 0.2 * np.random.default_rng(0).normal(size=later.size)
angles = np.array(truth[0] + scatter)[:200:5]
angles[(seen_at > BLIND[0]) & (seen_at < BLIND[1])] = np.nan

# %% [markdown]
# Both equations have the same wide prior. Of the state, angle and velocity, only the
# angle is observed; the mask says which angles count.

# %%
prior = bjm.Prior(
    {
        "stiffness": LogNormal(np.log(10.0), 1.0),
        "damping": LogNormal(np.log(0.1), 1.0),
        "start": Normal(0.0, 2.0),
        "noise": LogNormal(np.log(0.1), 1.0),
    }
)
problem = bjm.Problem(
    solve,
    likelihood=lambda m: NormalLikelihood(m.noise.value),
    observations=angles,
    prior=prior,
    observe=lambda solved, m: solved.ys[0],
    mask=~np.isnan(angles),
)

# %% [markdown]
# `infer` would do for the fit. Its three steps are written out, because the last also
# returns the log evidence, the log probability of the data under an equation. A search
# that ends elsewhere than the best has found a lesser mode, which gets the weight that
# it deserves.


# %%
def fit(model, key):
    search_key, draw_key = jax.random.split(key)
    density = problem.in_forward_mode()  # faster for few unknowns
    modes = bjm.map_estimate(
        density, model, key=search_key, num_starts=8 if small else 16, prior=prior
    )
    start = bjm.laplace(density, modes)
    print(f"{modes.num_agree} of {len(modes.ends)} searches end at the best fit.")
    posterior = bjm.importance(
        density, start, key=draw_key, num_samples=1_000 if small else 4_000
    )
    return modes, posterior


models = {"Right equation": right, "Wrong equation": wrong}
modes, posteriors = {}, {}
for name, fit_key in zip(models, [right_key, wrong_key], strict=True):
    print(f"\n{name}")
    modes[name], posteriors[name] = fit(models[name], fit_key)
    print(posteriors[name])

# %% [markdown]
# The draws of both are solved to twice the time. How much of the true swing after the
# last angle lies in the bands that should hold 90 % of it?

# %%
is_ahead = later > END
forecasts, held = {}, {}
print()
for name, ahead_key in zip(models, [right_ahead, wrong_ahead], strict=True):
    forecasts[name] = bjm.predict(
        problem,
        posteriors[name],
        ts=later,
        key=ahead_key,
        num_samples=400 if small else 2_000,
    )
    held[name] = []
    for drawn, true in zip(forecasts[name].states.ys, truth, strict=True):
        ahead, true_ahead = np.asarray(drawn)[:, is_ahead], np.asarray(true)[is_ahead]
        found = bjm.calibration.coverage(ahead, true_ahead, levels=[0.9])
        held[name].append(found.pointwise[0])
    of_angle, of_velocity = held[name]
    print(f"{name}: 90 % bands hold {100 * of_angle:.0f} % of the angle to come")
    print(f"    and {100 * of_velocity:.0f} % of the velocity")
of_right, of_wrong = (of.diagnostics.log_evidence for of in posteriors.values())
gap = of_right - of_wrong
print(f"The log evidence of the right equation is higher by {gap:.1f} nats")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3), width_ratios=(3, 1))
for i, (name, forecast) in enumerate(forecasts.items()):
    plot.trajectories(
        bjm.summarise(forecast, (0.05, 0.5, 0.95), of="states"),
        ax=axes,
        labels=["angle (rad)", "angular velocity (rad/s)"],
        colour=f"C{i}",
    )
    axes[0].get_legend().remove()
    axes[0].lines[-1].set_label(name)
for ax, true in zip(axes, truth, strict=True):
    ax.plot(later, true, "k--", lw=1, label="truth")
    ax.set_xlabel("time (s)")
shares = [f"{100 * of_angle:.0f} %" for of_angle, _ in held.values()]
axes[0].plot(seen_at, angles, "ko", ms=3, label="data")
axes[0].axvspan(*BLIND, color="C8", alpha=0.2, lw=0, label="camera blind")
axes[0].axvspan(END, 20, color="0.92", zorder=0, label="forecast")
axes[0].set_title(f"90 % bands hold {' and '.join(shares)} of the angle to come")
axes[0].set_xlim(-0.2, 20)
axes[1].set_title("Never measured")
axes[1].set_xlim(0, 2)
handles, labels = axes[0].get_legend_handles_labels()
legend = dict(zip(labels, handles, strict=True))
del legend["90 %"]
figure.legend(legend.values(), legend, loc="outside lower center", ncols=6)
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
