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
layer_key, search_key, sample_key, draw_key = jax.random.split(jax.random.key(0), 4)

NOISE = 0.15  # of a count, in hundreds, as all numbers of animals
RATES = np.array([0.9, -0.7])  # of growth and death, per year
EFFECT = np.array([-0.5, 0.35])  # on prey and predators, of each meeting
starts = np.array([[1, 2.5], [3, 1], [0.5, 0.5], [4, 3], [2, 4], [5, 1.5]])
years = np.arange(33) / 4
num_counts = 13  # in the first three years


def true_terms(states):
    return states[..., :1] * states[..., 1:] * EFFECT


def true_field(state, t):
    return RATES * state + true_terms(state)


solutions = [odeint(true_field, start, years) for start in starts]
truth = np.stack(solutions, axis=1)  # of shape (times, enclosures, 2)
states = truth[:num_counts]
noise = NOISE * rng.normal(size=(6, num_counts, 2))
counts = states + noise.swapaxes(0, 1)

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
solve = bjm.Solve(
    years[:num_counts],
    y0=starts,
    stepsize_controller=diffrax.ConstantStepSize(),
    dt0=0.25,
)
problem = bjm.Problem(
    solve,
    likelihood=NormalLikelihood(NOISE),
    observations=counts,
    prior=prior,
)

# %% [markdown]
# The posterior of the 66 weights is found in three steps: search for its mode, fit a
# normal distribution there, and draw from that with weights which make up for where it
# is wrong. The fit takes the curvature from the residuals, as in least squares. Units
# of the hidden layer are much alike, so that the search takes many steps.

# %%
mode = bjm.map_estimate(
    problem,
    model,
    key=search_key,
    num_starts=1 if small else 4,
    prior=prior,
    max_steps=2_000,
    tolerance=1e-3,
)


def residuals(drawn):
    return (counts - solve(drawn).ys) / NOISE


def log_prior(drawn):
    return bjm.log_prior(drawn, prior)


rough = bjm.laplace(log_prior, mode.model, residuals=residuals)
posterior = bjm.importance(
    problem,
    rough,
    key=sample_key,
    num_samples=200 if small else 20_000,
    num_rounds=8,
    df=12,
)
print(mode)
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
along_predators = np.stack([np.full(61, 2.0), grid], axis=1)


def draws_of_terms(states):
    # The same key: the same draws in each call.
    return bjm.map_posterior(
        lambda drawn: drawn.terms(states),
        posterior,
        key=draw_key,
        num_samples=num_draws,
    )


at_seen = draws_of_terms(states)
U = draws_of_terms(along_prey)[..., 0]
V = draws_of_terms(along_predators)[..., 1]
futures = bjm.predict(
    problem, posterior, ts=years, key=draw_key, num_samples=num_draws
).observables

coverage = bjm.calibration.coverage
terms_held = coverage(at_seen, true_terms(states), [0.9]).pointwise[0]
ahead_held = coverage(futures[:, 13:], truth[13:], [0.9]).pointwise[0]
print(f"The 90 % bands hold {terms_held:.0%} of the true U and V at states seen,")
print(f"and {ahead_held:.0%} of the true numbers of animals in the five years ahead")


def widths(draws):
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    return high - low


for name, draws in (("U", U), ("V", V)):
    ratio = widths(draws).max() / widths(draws).min()
    print(f"The band of {name} is up to {ratio:.0f} times as wide as at its narrowest")

# %%
figure, axes = plt.subplots(2, 2, figsize=(8, 5))
figure.suptitle("What a network learnt of how predators and prey meet")
plot.trajectories(
    futures[:, :, 0],
    ts=years,
    draws=0,
    data=(years[:num_counts], counts[:, 0]),
    forecast_from=3.0,
    labels=["prey (hundreds)", "predators (hundreds)"],
    ax=axes[0],
)
for i, panel in enumerate(axes[0]):
    panel.plot(years, truth[:, 0, i], "k--", lw=1, label="truth")
    panel.set_title("One enclosure of six, five years ahead", fontsize="medium")
    panel.set_xlabel("time (years)")


def draw_term(panel, draws, true_term, seen):
    low, median, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
    panel.fill_between(grid, low, high, alpha=0.3, lw=0, label="90 %")
    panel.plot(grid, median, label="median")
    panel.plot(grid, true_term, "k--", lw=1, label="truth")
    heights = np.full(len(seen), -7.5)
    panel.plot(seen, heights, "k|", ms=12, label="states seen nearby")
    panel.set_ylim(-8, 8)


is_near = np.abs(states - np.array([2.0, 1.5])) < 0.5
draw_term(axes[1, 0], U, true_terms(along_prey)[:, 0], states[is_near[..., 1]][:, 0])
axes[1, 0].set_title("What prey gain where there are 150 predators", fontsize="medium")
axes[1, 0].set(
    xlabel="prey (hundreds)",
    ylabel="U (hundreds a year)",
)
draw_term(
    axes[1, 1],
    V,
    true_terms(along_predators)[:, 1],
    states[is_near[..., 0]][:, 1],
)
axes[1, 1].set_title("What predators gain where there are 200 prey", fontsize="medium")
axes[1, 1].set(
    xlabel="predators (hundreds)",
    ylabel="V (hundreds a year)",
)
axes[0, 0].legend(fontsize="x-small")
axes[1, 0].legend(fontsize="x-small", loc="upper right")
common.save("universal_ode")

# %% [markdown]
# The band is narrow where states were seen and opens where none were, even at zero: the
# network does not know that prey which are not there cannot be eaten. Trust a term
# where its band is narrow. A forecast that goes where no enclosure has been has only
# the prior to go by.
