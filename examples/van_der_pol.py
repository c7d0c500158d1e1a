# %% [markdown]
# # An oscillator learnt from fifty points, and how far to trust its forecast
#
# Position and velocity of an oscillator are measured fifty times, with noise. Nothing
# is known of its equation: a network stands for the whole of it. How well can it tell
# what comes next?
#
# The data are simulated as by Hegde et al. (2022, arXiv:2106.10905): van der Pol's
# oscillator, measured up to a time of 7 and predicted up to 14. Their mean squared
# error there is 0.13.

# %%
import warnings

import common
import diffrax
import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy.integrate import odeint

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

small = common.start("An oscillator learnt from fifty points.")
field_key, search_key, fit_key, predict_key = jax.random.split(jax.random.key(0), 4)


def true_field(state, t):
    position, velocity = state
    return [velocity, 0.5 * (1 - position**2) * velocity - position]


num_data = 50
times = np.arange(100) / 7
truth = odeint(true_field, [-1.5, 2.5], times)
noise = np.random.RandomState(121).normal(size=(num_data, 2))  # that of the paper
data = truth[:num_data] + np.sqrt(0.05) * noise

# %% [markdown]
# Unknown are the weights of the network, the state at the start and the size of the
# noise. The priors of the weights are not all alike: with narrow ones behind the hidden
# layer the likeliest network is a flat line, and all else noise.


# %%
class Oscillator(bjm.Module):
    field: bjm.NeuralVectorField
    start: bjm.AbstractParameter
    noise: bjm.AbstractParameter


model = Oscillator(
    field=bjm.NeuralVectorField(2, width=16, depth=1, key=field_key),
    start=bjm.make_parameter([0.0, 0.0]),
    noise=bjm.make_parameter(1.0, support="positive"),
)
prior = bjm.Prior(
    {
        "field.mlp.layers[0].W": Normal(0.0, 0.3),
        "field.mlp.layers[0].b": Normal(0.0, 0.3),
        "field.mlp.layers[1].W": Normal(0.0, 3.0),
        "field.mlp.layers[1].b": Normal(0.0, 1.0),
        "start": Normal(0.0, 3.0),
        "noise": LogNormal(-1.5, 0.5),
    }
)
solve = bjm.Solve(
    times[:num_data],
    y0=lambda model: model.start.value,
    vector_field=lambda model: model.field,
    stepsize_controller=diffrax.ConstantStepSize(),
    dt0=1 / 7,
    max_steps=128,
)
problem = bjm.Problem(
    solve,
    likelihood=lambda model: NormalLikelihood(model.noise.value),
    observations=data,
    prior=prior,
)

# %% [markdown]
# Many networks fit the data. First the best of them are searched for, from many starts.

# %%
num_members = 2 if small else 4
with warnings.catch_warnings():
    # Near a mode will do: the training below moves on from there.
    warnings.simplefilter("ignore")
    modes = bjm.map_estimate(
        problem,
        model,
        key=search_key,
        num_starts=3 if small else 32,
        max_steps=20 if small else 1_000,
        prior=prior,
    )
best = np.argsort(-modes.log_densities)[:num_members]
print(f"Log densities of the best modes: {np.round(modes.log_densities[best], 1)}")

# %% [markdown]
# Then, around each, a normal distribution of all unknowns is trained, with their
# correlations: weights make up for each other, and widths that do not know of it would
# be wrong. The training starts with the shape of a normal fit at the mode, but
# narrower, as wide draws leave the data.


# %%
def residuals(drawn):
    return (data - solve(drawn).ys) / drawn.noise.value


def log_rest(drawn):
    """The log density without half the squares of the residuals."""
    return bjm.log_prior(drawn, prior) - data.size * drawn.noise.mean


def narrow_fit(mode):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the search ended near the mode only
        fit = bjm.laplace(log_rest, mode, residuals=residuals)
    centre = 0 * bjm.flatten_means(mode)
    narrow = bjm.MultivariateGaussianParameter.from_value(centre, 0.05**0.5)
    return eqx.tree_at(lambda fit: fit.joint, fit, narrow)


def loss(posterior, key):
    return -bjm.elbo(posterior, problem, prior=None, key=key, num_samples=16).value


num_steps = 50 if small else 1_500
optimiser = optax.chain(
    bjm.train.clip_finite_by_global_norm(100.0),
    optax.adam(optax.cosine_decay_schedule(0.005, num_steps)),
)
members, elbos = [], []
for place, key in zip(best, jax.random.split(fit_key, num_members), strict=True):
    mode = bjm.unflatten_means(model, modes.ends[place].astype(np.float32))
    fit = bjm.train.fit(
        loss, narrow_fit(mode), key=key, optimiser=optimiser, num_steps=num_steps
    )
    members.append(fit.model)
    elbos.append(-fit.losses[-50:].mean())

# %% [markdown]
# Each counts as much as it explains of the data, by its evidence lower bound (ELBO).

# %%
posterior = bjm.MixturePosterior(members, weights=jax.nn.softmax(np.array(elbos)))
for elbo, weight in zip(elbos, posterior.weights, strict=True):
    print(f"A member with an ELBO of {elbo:.1f} counts {weight:.0%}")

# %% [markdown]
# The check: how much of the truth do the bands hold, where there are data and beyond?

# %%
prediction = bjm.predict(
    problem,
    posterior,
    ts=times,
    key=predict_key,
    num_samples=60 if small else 400,
)
coverage = bjm.calibration.coverage(prediction.observables, truth)
levels = np.array(coverage.levels)
seen = coverage.by_time[:, :num_data].mean(axis=1)
ahead = coverage.by_time[:, num_data:].mean(axis=1)
mean = bjm.summarise(prediction).mean
error = np.mean((mean - truth)[num_data:] ** 2)
at_90 = np.argmin(np.abs(levels - 0.9))
print(f"The 90 % band holds {seen[at_90]:.0%} of the truth where there are data")
print(f"and {ahead[at_90]:.0%} beyond, where the mean squared error is {error:.3f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.8), width_ratios=(3, 3, 2))
plot.trajectories(
    prediction.states,
    draws=0,
    data=(times[:num_data], data),
    forecast_from=7.0,
    labels=["position", "velocity"],
    ax=axes[:2],
)
for panel, values, name in zip(axes, truth.T, ["Position", "Velocity"], strict=False):
    panel.plot(times, values, "k--", lw=1, label="truth")
    panel.set(title=f"{name}, foretold from 7 on", xlabel="time")
axes[0].legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
axes[2].plot([0, 1], [0, 1], color="0.4", lw=0.8, ls=":", label="as it should be")
axes[2].plot(levels, seen, color="C0", label="where there are data")
axes[2].plot(levels, ahead, color="C1", label="beyond")
axes[2].set(
    title="Truth within bands",
    xlabel="what the band claims",
    ylabel="share of the truth in it",
)
axes[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
common.save("van_der_pol")

# %% [markdown]
# The band is narrow as long as the orbit runs through states that were measured. It is
# no promise: on other noise the squared error may be half or twice what it is here, and
# the forecast out of phase. Beyond the data look at what the band holds, not at how
# narrow it is; where no state was measured, it tells of the prior.
