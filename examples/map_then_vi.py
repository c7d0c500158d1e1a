# %% [markdown]
# # First means, then widths: the two-stage recipe beside the exact posterior
#
# A common recipe for Bayesian networks has two stages. First find the best weights (the
# maximum a posteriori, MAP). Then hold them, and find by variational inference (VI) how
# wide the distribution of each weight is. How good is the band around the curve? Here
# the model is linear in its weights, so that the exact posterior can be written down.

# %%
import common
import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal

small = common.start(
    "The two-stage recipe, MAP and then VI, beside the exact posterior."
)
num_steps = 1_000 if small else 2_000
noise, prior_sd = 0.1, 0.7

# %% [markdown]
# Sixty points of a sine with noise, and no data between -0.5 and 1.5. The curve is a
# sum of twelve bumps side by side, each with a weight.

# %%
rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-3, -0.5, 35), rng.uniform(1.5, 3, 25)])
y = np.sin(1.5 * x) + noise * rng.normal(size=60)


def bumps(x):
    """The height of each bump at each point, of shape `(n, 12)`."""
    centres = np.linspace(-3.3, 3.3, 12)
    return np.exp(-0.5 * ((x[:, None] - centres) / 0.4) ** 2)


features = bumps(x)
weights = bjm.make_parameter(np.zeros(12), stdv=0.01)
problem = bjm.Problem(
    lambda drawn: features @ drawn.value,
    likelihood=NormalLikelihood(noise),
    observations=y,
    prior=bjm.Prior(default=Normal(0.0, prior_sd)),
)

# %% [markdown]
# The problem is the log density of data and weights. (Minus that density is, up to a
# factor and a constant, the mean squared error plus a weight decay of
# `noise**2 / prior_sd**2 / 60` times the sum of squares, as papers on networks have
# it.) Stage one freezes the widths and minimises it over the means.

# %%
map_key, vi_key = jax.random.split(jax.random.key(0))
means, widths = bjm.freeze_stdvs(weights)
stage_one = bjm.train.fit(
    lambda weights, key: -problem(weights),
    means,
    static=widths,
    key=map_key,
    optimiser=optax.adam(optax.cosine_decay_schedule(0.05, num_steps)),
    num_steps=num_steps,
)

# %% [markdown]
# Stage two freezes the means and maximises the evidence lower bound over the widths.

# %%
widths, means = bjm.freeze_means(stage_one.model)
stage_two = bjm.train.fit(
    lambda weights, key: (
        -bjm.elbo(
            weights, problem, prior=None, key=key, num_samples=16, kl="analytic"
        ).value
    ),
    widths,
    static=means,
    key=vi_key,
    optimiser=optax.adam(optax.cosine_decay_schedule(0.01, num_steps)),
    num_steps=num_steps,
)
mean = np.asarray(stage_two.model.mean, float)
sd = np.asarray(stage_two.model.stdv, float)

# %% [markdown]
# The exact posterior is normal. The inverse of its covariance, the precision, is the
# sum of what the data and the prior say. Among normals with independent weights, the
# closest in the sense of VI has the variances `1 / diagonal of the precision`: that is
# what stage two should find.

# %%
precision = features.T @ features / noise**2 + np.eye(12) / prior_sd**2
covariance = np.linalg.inv(precision)
exact_mean = covariance @ features.T @ y / noise**2
exact_sd = np.sqrt(np.diag(covariance))
best_sd = 1 / np.sqrt(np.diag(precision))


def sd_of_curve(at, covariance):
    return np.sqrt(np.sum(at @ covariance * at, axis=1))


grid = np.linspace(-3, 3, 241)
on_grid = bumps(grid)
band_sd = sd_of_curve(on_grid, np.diag(sd**2))
exact_band_sd = sd_of_curve(on_grid, covariance)

in_gap = (grid > -0.5) & (grid < 1.5)
error = np.abs(mean - exact_mean) / exact_sd
ratio = band_sd / exact_band_sd
print(f"means of the weights: within {error.max():.3f} exact sds of the exact ones")
print(
    f"sds of the weights: within {np.abs(sd / best_sd - 1).max():.1%} of those expected"
)
print(f"but only {np.mean(sd / exact_sd):.2f} of the exact ones on average")
print(
    f"width of the band where there are data: {ratio[~in_gap].mean():.2f} of the exact"
)
print(f"width of the band in the gap: {ratio[in_gap].mean():.2f} of the exact")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(3, 2))
left.axvspan(-0.5, 1.5, color="0.93", label="no data")
for name, colour, centre, width in [
    ("exact", "C1", exact_mean, exact_band_sd),
    ("two-stage", "C0", mean, band_sd),
]:
    curve = on_grid @ centre
    low, high = curve - 1.645 * width, curve + 1.645 * width
    left.fill_between(
        grid, low, high, color=colour, alpha=0.4, lw=0, label=f"{name}, 90 %"
    )
    left.plot(grid, curve, color=colour)
left.plot(grid, np.sin(1.5 * grid), "k--", lw=1, label="truth")
left.plot(x, y, "k.", label="data")
left.set(xlabel="x", ylabel="y", ylim=(-2.2, 2.2))
left.set_title("In the gap the two-stage band is too narrow")
left.legend(ncols=2, loc="upper left")
number = np.arange(1, 13)
right.plot(number, exact_sd, "o-", color="C1", label="exact")
right.plot(number, sd, "o-", color="C0", label="two-stage")
right.plot(number, best_sd, "k_", ms=14, label="two-stage, expected")
right.set(xlabel="number of the bump, from left to right", yscale="log")
right.set(ylabel="standard deviation of its weight")
right.set_title("So is the distribution of each weight")
right.legend(loc="upper left")
common.save("map_then_vi")

# %% [markdown]
# The curve in the middle is right, and stage two does what it can. But neighbouring
# bumps make up for each other: the data fix their sum far better than each of them.
# Distributions of independent weights cannot say so, and VI then keeps to the narrower
# side. Take the recipe for the curve, not for its band. Correlations bring it back:
# `bjm.infer`, or `bjm.JointPosterior.full` in place of the model in stage two.
