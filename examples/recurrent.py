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

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

small = common.start("Fourteen years of lynx from a Bayesian recurrent network.")
num_draws = 500 if small else 4_000

data = common.read_columns("mackenzie_lynx.csv")
year, furs = data["year"], data["lynx"]
seen, later = np.log10(furs[:100]), np.log10(furs[100:])
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


keys = jax.random.split(jax.random.key(0), 5)
network = Network(
    cell=bjm.Bayesian(eqx.nn.GRUCell(1, WIDTH, key=keys[0])),
    readout=bjm.BayesianLinear(WIDTH, 1, key=keys[1]),
    noise=bjm.make_parameter(0.4, support="positive"),
)

# %% [markdown]
# Each year is predicted from all years before it. The first two do not count, as the
# network has no memory yet. For as many unknowns as a network has, `infer` ends with
# variational inference with all correlations between weights: independent ones would
# take for noise what weights do together. It warns that it cannot check such a fit, and
# says what can be done: hold back data. Here that is the last fourteen years.

# %%
problem = bjm.Problem(
    lambda drawn: drawn.read(series[:-1])[1],
    likelihood=lambda drawn: NormalLikelihood(drawn.noise.value),
    observations=series[1:],
    prior=bjm.Prior({"noise": LogNormal(-1.0, 1.0)}, default=Normal(0.0, 0.5)),
    mask=np.arange(len(series) - 1) >= 2,
)
posterior = bjm.infer(problem, network, key=keys[2], num_starts=1 if small else None)
print(posterior)

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
    lambda drawn: drawn, posterior, key=keys[3], num_samples=num_draws
)
noise_keys = jax.random.split(keys[4], (num_draws, len(later)))
forecasts = np.asarray(jax.jit(jax.vmap(forecast))(draws, noise_keys))

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


# %%
classic = autoregression(seen, forecasts.shape, np.random.default_rng(0))
figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharex=True, sharey=True)
shown = year[70:], furs[70:]
scores = {}
for axes, (name, values) in zip(
    panels, {"network": forecasts, "autoregression": classic}.items(), strict=True
):
    crps = bjm.calibration.crps(values, later).mean()
    held = bjm.calibration.coverage(values, later, [0.9]).by_time.sum()
    scores[name] = crps, held
    print(f"{name}: {held:.0f} of 14 years in the 90 % band, CRPS {crps:.3f}")
    options = {"forecast_from": 1921, "draws": 3, "legend": False}
    plot.trajectories(10**values, ts=year[100:], ax=axes, data=shown, **options)
    axes.plot(*shown, "k", lw=0.5)
    axes.set(title=f"The {name}: {held:.0f} of 14 years in its band", xlabel="year")
    axes.set(yscale="log", ylim=(5, 50_000), ylabel="furs of lynx a year")
panels[0].legend(ncols=2, loc="lower left")
common.save("recurrent")

# %% [markdown]
# The continuous ranked probability score (CRPS) is the distance between a forecast and
# what came, here in decades of furs: less is better. Compare the two: where they are
# close, a network buys little on so short a series, and the autoregression is the one
# to try first. Nor is one stretch of years a test of the band, as neighbouring years
# share their errors. The band holds what a hundred years leave open about the weights,
# and what each year brings by chance. It does not hold what never happened in them:
# trust neither forecast when prices or trapping change.
