# %% [markdown]
# # Fourteen years of lynx from a Bayesian recurrent network
#
# Furs of lynx that the Hudson's Bay Company took on the Mackenzie River, year by year
# from 1821 to 1934 (Elton & Nicholson 1942, Journal of Animal Ecology 11:215-244).
# Their number rises and falls every ten years or so. A recurrent network learns from
# the first hundred years, and predicts the last fourteen.

# %%
import common
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

small = common.start("Fourteen years of lynx from a Bayesian recurrent network.")
num_steps = 1_000 if small else 4_000
num_draws = 100 if small else 500
num_noises = 20  # series of noise for each draw of the weights

data = common.read_columns("mackenzie_lynx.csv")
year, log_furs = data["year"], np.log10(data["lynx"])
seen, later = log_furs[:100], log_furs[100:]
series = (seen - seen.mean()) / seen.std()

# %% [markdown]
# With `x[t]` the standardised logarithm of the furs in a year,
#
#     h[t] = GRU(x[t], h[t-1]),   x[t+1] ~ Normal(x[t] + readout(h[t]), noise).
#
# The gated recurrent unit (GRU) is Equinox's: `bjm.Bayesian` turns all weights of a
# module into distributions. In a drawn model each weight is one number, the same for
# all years: `sample=False` says that layers are to draw no new ones.

# %%
WIDTH = 4  # hidden units


class Network(bjm.Module):
    cell: bjm.Bayesian
    readout: bjm.BayesianLinear
    noise: bjm.AbstractParameter

    def advance(self, hidden, x):
        """Read one value; the new state, and the mean of the next value."""
        hidden = self.cell(x[None], hidden, sample=False)
        return hidden, x + self.readout(hidden, sample=False)[0]

    def read(self, series):
        """Read a series; the last state, and the mean of what follows each value."""

        def step(hidden, x):
            return self.advance(hidden, x)

        return jax.lax.scan(step, jnp.zeros(WIDTH), series)


cell_key, readout_key, fit_key, draw_key, noise_key = jax.random.split(
    jax.random.key(0), 5
)
network = Network(
    cell=bjm.Bayesian(eqx.nn.GRUCell(1, WIDTH, key=cell_key)),
    readout=bjm.BayesianLinear(WIDTH, 1, key=readout_key),
    noise=bjm.make_parameter(0.4, support="positive"),
)
prior = bjm.Prior({"noise": LogNormal(-1.0, 1.0)}, default=Normal(0.0, 0.5))

# %% [markdown]
# Each year is predicted from all years before it. The first two do not count, as the
# network has no memory yet.

# %%
SKIPPED = 2
problem = bjm.Problem(
    lambda drawn: drawn.read(series[:-1])[1],
    likelihood=lambda drawn: NormalLikelihood(drawn.noise.value),
    observations=series[1:],
    prior=prior,
    mask=np.arange(len(series) - 1) >= SKIPPED,
)

# %% [markdown]
# Variational inference with all correlations between weights: independent ones would
# take for noise what weights do together.

# %%
found = bjm.train.fit(
    lambda posterior, key: (
        -bjm.elbo(
            posterior,
            problem.log_likelihood,
            prior=prior,
            key=key,
            num_samples=8,
            kl="analytic",
        ).value
    ),
    bjm.JointPosterior.full(network, 0.05),
    key=fit_key,
    optimiser=optax.adam(optax.cosine_decay_schedule(0.01, num_steps)),
    num_steps=num_steps,
)
print(found)
posterior = found.model

# %% [markdown]
# From 1921 on the network runs free: each draw of the weights is fed its own samples,
# so that what it does not know adds up from year to year.


# %%
def forecast(drawn, noise_keys):
    """Go on from the end of the series, a year for each key."""
    likelihood = NormalLikelihood(drawn.noise.value)

    def step(carry, key):
        hidden, mean = carry
        value = likelihood.sample(key, mean)
        return drawn.advance(hidden, value), value

    hidden, means = drawn.read(series)
    values = jax.lax.scan(step, (hidden, means[-1]), noise_keys)[1]
    return seen.mean() + seen.std() * values


draws = bjm.map_posterior(
    lambda drawn: drawn, posterior, key=draw_key, num_samples=num_draws
)
noise_keys = jax.random.split(noise_key, (num_draws, num_noises, len(later)))
forecasts = jax.vmap(forecast, in_axes=(None, 0))  # one draw, with many noises
forecasts = jax.jit(jax.vmap(forecasts))(draws, noise_keys)
forecasts = np.asarray(forecasts, float)  # log10 of furs: draws, noises, years

# %% [markdown]
# Ecologists have known such cycles as an autoregression of second order since Moran
# (1953, Australian Journal of Zoology 1:163-173): a linear function of the last two
# values, here by least squares, run free likewise. Does the network do better?


# %%
def autoregression(series, shape, rng):
    """Forecasts `(draws, years)`, each with noise of its own."""
    lagged = np.stack([series[1:-1], series[:-2], np.ones(len(series) - 2)], axis=1)
    weights, residuals, *_ = np.linalg.lstsq(lagged, series[2:])
    noise = np.sqrt(residuals[0] / (len(lagged) - 3))
    values = np.full((shape[0], shape[1] + 2), series[-2])
    values[:, 1] = series[-1]
    for year in range(2, shape[1] + 2):
        mean = weights[0] * values[:, year - 1] + weights[1] * values[:, year - 2]
        values[:, year] = rng.normal(mean + weights[2], noise)
    return values[:, 2:]


of_network = forecasts.reshape(-1, len(later))
of_classic = autoregression(seen, of_network.shape, np.random.default_rng(0))
scores = {}
for name, values in [("network", of_network), ("autoregression", of_classic)]:
    crps = bjm.calibration.crps(values, later).mean()
    held = bjm.calibration.coverage(values, later, [0.9]).by_time.sum()
    scores[name] = crps, held
    print(f"{name}: {held:.0f} of 14 years in the 90 % band, CRPS {crps:.3f}")
of_noise = forecasts.var(axis=1, ddof=1).mean(axis=0)
share = 1 - of_noise / forecasts.var(axis=(0, 1))
print(f"share of the weights in the variance of the last year: {share[-1]:.0%}")

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
for axes, name, values in [
    (panels[0], "network", of_network),
    (panels[1], "autoregression", of_classic),
]:
    low, median, high = 10 ** np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    axes.fill_between(year[100:], low, high, color="C0", alpha=0.25, lw=0, label="90 %")
    axes.plot(year[100:], median, color="C0", lw=2.5, label="median")
    samples = 10 ** values[: 3 * num_noises : num_noises]  # each of other weights
    axes.plot(
        year[100:], samples.T, color="C0", lw=0.8, label=["three samples", "", ""]
    )
    axes.plot(year[70:100], 10 ** seen[70:], "k.-", lw=0.6, label="learnt from")
    axes.plot(year[100:], 10**later, "ko", mfc="w", label="what followed")
    axes.set(yscale="log", ylim=(5, 100_000), xlabel="year")
    axes.set_title(f"The {name}: {scores[name][1]:.0f} of 14 years in its band")
panels[1].legend(ncols=2, loc="lower left")
panels[0].set_ylabel("furs of lynx a year")
common.save("recurrent")

# %% [markdown]
# The continuous ranked probability score (CRPS) is the distance between a forecast and
# what came, here in decades of furs: less is better. Compare the two: where they are
# close, a network buys little on so short a series, and the autoregression is the one
# to try first. Nor is one stretch of years a test of the band, as neighbouring years
# share their errors. The band holds what a hundred years leave open about the weights,
# and what each year brings by chance. It does not hold what never happened in them:
# trust neither forecast when prices or trapping change.
