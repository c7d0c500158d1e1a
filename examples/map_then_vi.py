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

small = common.start("MAP and then VI, beside the exact posterior.")
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
def negative_elbo(weights, key):
    settings = {"key": key, "num_samples": 16, "kl": "analytic"}
    return -bjm.elbo(weights, problem, prior=None, **settings).value


widths, means = bjm.freeze_means(stage_one.model)
stage_two = bjm.train.fit(
    negative_elbo,
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

# %% [markdown]
# How wide is the distribution of the curve, on a grid?

# %%
grid = np.linspace(-3, 3, 241)
on_grid = bumps(grid)
band_sd = np.sqrt(on_grid**2 @ sd**2)
exact_band_sd = np.sqrt(np.sum(on_grid @ covariance * on_grid, axis=1))
in_gap = (grid > -0.5) & (grid < 1.5)
error = np.abs(mean - exact_mean) / exact_sd
ratio = band_sd / exact_band_sd
off = np.abs(sd / best_sd - 1)
print(f"means of the weights: within {error.max():.1g} exact sds of the exact ones")
print(f"sds of the weights: within {off.max():.1%} of those expected")
print(f"but only {np.mean(sd / exact_sd):.2f} of the exact ones on average")
print(f"width of the band where there are data: {ratio[~in_gap].mean():.2f} of exact")
print(f"width of the band in the gap: {ratio[in_gap].mean():.2f} of exact")

# %%
figure, axes = plt.subplots(figsize=(8.5, 4.4))
for name, colour, centre, width in [
    ("exact", "C1", exact_mean, exact_band_sd),
    ("two-stage", "C0", mean, band_sd),
]:
    curve, label = on_grid @ centre, f"{name}, 90 %"
    ends = curve - 1.645 * width, curve + 1.645 * width
    axes.fill_between(grid, *ends, color=colour, alpha=0.4, lw=0, label=label)
    axes.plot(grid, curve, color=colour)
axes.plot(grid, np.sin(1.5 * grid), "k--", lw=1, label="truth")
axes.plot(x, y, "k.", label="data")
axes.set(xlabel="x", ylabel="y", ylim=(-2.2, 2.2))
axes.set_title("Where there are no data, the two-stage band is too narrow")
axes.legend(ncols=2, loc="upper left")
common.save("map_then_vi")

# %% [markdown]
# The curve in the middle is right, and stage two does what it can. But neighbouring
# bumps make up for each other: the data fix their sum far better than each of them.
# Distributions of independent weights cannot say so, and VI then keeps to the narrower
# side. Take the recipe for the curve, not for its band. Correlations bring it back:
# `bjm.infer`, or `bjm.JointPosterior.full` in place of the model in stage two.
