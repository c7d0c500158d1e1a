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
import common
import diffrax
import equinox as eqx
import jax
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


times = np.arange(100) / 7
truth = odeint(true_field, [-1.5, 2.5], times)
noise = np.random.RandomState(121).normal(size=(50, 2))  # that of the paper
data = truth[:50] + np.sqrt(0.05) * noise

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
        "field.mlp.layers[1].W": Normal(0.0, 3.0),
        "field.mlp.layers[1].b": Normal(0.0, 1.0),
        "start": Normal(0.0, 3.0),
        "noise": LogNormal(-1.5, 0.5),
    },
    default=Normal(0.0, 0.3),  # weights and biases of the hidden layer
)
problem = bjm.Problem(
    bjm.Solve(
        times[:50],
        y0=lambda model: model.start.value,
        vector_field=lambda model: model.field,
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=1 / 7,
        max_steps=128,
    ),
    likelihood=lambda model: NormalLikelihood(model.noise.value),
    observations=data,
    prior=prior,
)

# %% [markdown]
# Many networks fit the data. First the best of them are searched for, from many starts.
# The package warns that the searches run out of steps. That will do, as the training
# below moves on from there.

# %%
search = bjm.map_estimate(
    problem,
    model,
    key=search_key,
    num_starts=3 if small else 32,
    max_steps=20 if small else 1_000,
    prior=prior,
)
best = np.argsort(-search.log_densities)[: 2 if small else 4]
modes = [bjm.unflatten_means(model, np.float32(search.ends[i])) for i in best]

# %% [markdown]
# Then, around each, a normal distribution of all unknowns is trained, with their
# correlations: weights make up for each other, and widths that do not know of it would
# be wrong. The training starts with the shape of a normal fit at the mode, but
# narrower, as wide draws leave the data.


# %%
def narrow_fit(mode):
    fit = bjm.laplace(problem.linearised(mode), mode, widest=3.0)  # as the widest prior
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
for mode, key in zip(modes, jax.random.split(fit_key, len(modes)), strict=True):
    start = narrow_fit(mode)
    fit = bjm.train.fit(loss, start, key=key, optimiser=optimiser, num_steps=num_steps)
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
num_samples = 60 if small else 400
prediction = bjm.predict(
    problem, posterior, ts=times, key=predict_key, num_samples=num_samples
)
ys = prediction.observables
seen = bjm.calibration.coverage(ys[:, :50], truth[:50], [0.9]).pointwise[0]
ahead = bjm.calibration.coverage(ys[:, 50:], truth[50:], [0.9]).pointwise[0]
error = np.mean((ys.mean(axis=0) - truth)[50:] ** 2)
print(f"The 90 % band holds {seen:.0%} of the truth where there are data,")
print(f"and {ahead:.0%} beyond, where the mean squared error is {error:.3f}")

# %%
axes = plot.trajectories(
    prediction.states,
    draws=0,
    data=(times[:50], data),
    forecast_from=7.0,
    labels=["position", "velocity"],
)
for panel, values in zip(axes, truth.T, strict=True):
    panel.plot(times, values, "k--", lw=1, label="truth")
axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
axes[0].set_title("An oscillator learnt up to 7, foretold beyond")
axes[0].figure.set_size_inches(8.5, 4.6)
common.save("van_der_pol")

# %% [markdown]
# The band is narrow as long as the orbit runs through states that were measured. It is
# no promise: on other noise the squared error may be half or twice what it is here, and
# the forecast out of phase. Nor does a higher ELBO mean a better one: members that
# start wider (`widest=0.1` in `laplace`) gain ten nats, and their error is 0.37. Beyond
# the data look at what the band holds, not at how narrow it is; where no state was
# measured, it tells of the prior.
