# %% [markdown]
# # How predators and prey meet: a differential equation that is known in part
#
# Six enclosures are stocked with known numbers of prey and predators and counted every
# three months for three years. How fast prey breed and predators die is known. What
# happens when they meet is not: a network learns it. Such an equation is called
# universal (Rackauckas et al. 2020, arXiv:2001.04385).
#
# The counts are simulated, so that the truth is known: the equation is Lotka and
# Volterra's.

# %%
import common
import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import odeint

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal

small = common.start("A differential equation that is known in part.")
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
keys = jax.random.split(jax.random.key(0), 5)
layer_key, search_key, sample_key, terms_key, forecast_key = keys

NOISE = 0.15  # of a count, in hundreds, as all numbers of animals
RATES = np.array([0.9, -0.7])  # of growth and death, per year
EFFECT = np.array([-0.5, 0.35])  # on prey and predators, of each meeting
starts = np.array([[1, 2.5], [3, 1], [0.5, 0.5], [4, 3], [2, 4], [5, 1.5]])
years = np.arange(33) / 4


def true_terms(states):
    return states[..., :1] * states[..., 1:] * EFFECT


def true_field(state, t):
    return RATES * state + true_terms(state)


solutions = [odeint(true_field, start, years) for start in starts]
truth = np.stack(solutions, axis=1)  # of shape (times, enclosures, 2)
states = truth[:13]  # in the first three years
counts = states + NOISE * rng.normal(size=(6, 13, 2)).swapaxes(0, 1)

# %% [markdown]
# The network has a hidden layer of 32 units that is drawn once and stays as it is. What
# they add up to is unknown: `U`, which prey gain by meeting predators in a year, and
# `V`, which predators gain by meeting prey.


# %%
class Enclosure(bjm.Module):
    output: bjm.BayesianLinear
    hidden: np.ndarray  # weights of prey, predators and 1

    def __call__(self, t, states, args):
        return RATES * states + self.terms(states)

    def terms(self, states):
        """U and V at states of shape (..., 2)."""
        ones = jnp.ones_like(states[..., :1])
        inputs = jnp.concatenate([states, ones], axis=-1)
        return self.output(jnp.tanh(inputs @ self.hidden), sample=False)


hidden = rng.normal(size=(3, 32)) * np.array([[0.5], [0.5], [1.0]])
model = Enclosure(bjm.BayesianLinear(32, 2, key=layer_key), hidden)
prior = bjm.Prior(default=Normal(0.0, 2.0))
controller = diffrax.ConstantStepSize()
problem = bjm.Problem(
    bjm.Solve(years[:13], y0=starts, stepsize_controller=controller, dt0=0.25),
    likelihood=NormalLikelihood(NOISE),
    observations=counts,
    prior=prior,
)

# %% [markdown]
# The posterior of the 66 weights is found in three steps: search for its mode, fit a
# normal distribution there, and draw from that with weights which make up for where it
# is wrong. For the fit the solution is made linear in the weights, as in least squares.
# Units of the hidden layer are much alike, so that the search takes many steps.

# %%
mode = bjm.map_estimate(
    problem, model, key=search_key, num_starts=4, prior=prior, max_steps=5_000
).model
rough = bjm.laplace(problem.linearised(mode), mode)
num_samples = 200 if small else 20_000
posterior = bjm.importance(
    problem, rough, key=sample_key, num_samples=num_samples, num_rounds=8, df=12
)
print(posterior.diagnostics)

# %% [markdown]
# With so many unknowns few of the draws count, and the package warns of it. So the
# result needs a check of its own: how much of the truth is in the 90 % bands, of `U`
# and `V` at the states that were seen, and of the animals in the five years after the
# last count?

# %%
num_draws = 50 if small else 1_000
grid = np.linspace(0.0, 6.0, 61)
along_prey = np.stack([grid, np.full(61, 1.5)], axis=1)
at_seen, at_grid = bjm.map_posterior(
    lambda drawn: (drawn.terms(states), drawn.terms(along_prey)),
    posterior,
    key=terms_key,
    num_samples=num_draws,
)
futures = bjm.predict(
    problem, posterior, ts=years, key=forecast_key, num_samples=num_draws
).observables

coverage = bjm.calibration.coverage
terms_held = coverage(at_seen, true_terms(states), [0.9]).pointwise[0]
ahead_held = coverage(futures[:, 13:], truth[13:], [0.9]).pointwise[0]
print(f"The 90 % bands hold {terms_held:.0%} of the true U and V at states seen,")
print(f"and {ahead_held:.0%} of the true numbers of animals in the five years ahead")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
true_U = true_terms(along_prey)[:, 0]
left.plot(grid, true_U, "k--", lw=1, zorder=3, label="truth")
near = states[np.abs(states[..., 1] - 1.5) < 0.5]
left.plot(near[:, 0], np.full(len(near), -5.5), "k|", ms=12, label="states seen nearby")
labels = ["U (hundreds a year)"]
plot.trajectories(at_grid[..., :1], ts=grid, draws=0, labels=labels, ax=left)
left.set(title="What prey gain by meeting 150 predators", xlabel="prey (hundreds)")

right.plot(years, truth[:, 0, 0], "k--", lw=1, zorder=3, label="truth")
plot.trajectories(
    futures[:, :, 0, :1],
    ts=years,
    draws=0,
    data=(years[:13], counts[:, 0, :1]),
    forecast_from=3.0,
    labels=["prey (hundreds)"],
    ax=right,
)
right.set(title="Prey of one enclosure, five years ahead", xlabel="time (years)")
common.save("universal_ode")

# %% [markdown]
# The band is narrow where states were seen and opens where none were, even at zero: the
# network does not know that prey which are not there cannot be eaten. Trust a term
# where its band is narrow. A forecast that goes where no enclosure has been has only
# the prior to go by. Do not make much of the shares: states and times near each other
# are right or wrong together. On other noise we found 81 % of the terms and 95 % of the
# forecast within their bands.
