# %% [markdown]
# # Hare and lynx: from data to a checked forecast
#
# From 1900 to 1920 the Hudson's Bay Company counted pelts of snowshoe hares and of the
# lynx that eat them. What will the next ten years bring, and how sure can we be? The
# equation is Lotka and Volterra's, the priors are Carpenter's (2018, "Predator-Prey
# Population Dynamics: the Lotka-Volterra model in Stan").

# %%
import common
import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import LogNormalLikelihood
from BayesianJaxModels.priors import LogNormal, TruncatedNormal

small = common.start("Hare and lynx: from data to a checked forecast.")
data = common.read_columns("hudson_lynx_hare.csv")
years, pelts = data["year"], np.stack([data["hare"], data["lynx"]], axis=1)  # thousands

# %% [markdown]
# A model is a class whose fields are parameters: what is not known. Called, it gives
# the right side of the differential equation.


# %%
class LotkaVolterra(bjm.Module):
    rates: bjm.AbstractParameter  # per year
    start: bjm.AbstractParameter  # thousands of pelts, in 1900
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        alpha, beta, gamma, delta = self.rates.value
        hare, lynx = y
        return jnp.stack([(alpha - beta * lynx) * hare, (delta * hare - gamma) * lynx])


model = LotkaVolterra(
    rates=bjm.make_parameter([0.5, 0.03, 0.8, 0.03], support="positive"),
    start=bjm.make_parameter([30.0, 5.0], support="positive"),
    noise=bjm.make_parameter([0.3, 0.3], support="positive"),
)
prior = bjm.Prior(
    {
        "rates": TruncatedNormal([1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05]),
        "start": LogNormal(np.log(10), 1.0),
        "noise": LogNormal(-1.0, 1.0),
    }
)

# %% [markdown]
# A problem puts together how the model is solved, how data scatter around the solution,
# the data and the prior. `infer` finds the posterior and says whether to trust it.

# %%
problem = bjm.Problem(
    bjm.Solve(years, y0=lambda m: m.start.value),
    likelihood=lambda m: LogNormalLikelihood(m.noise.value),
    observations=pelts,
    prior=prior,
)
fit_key, forecast_key = jax.random.split(jax.random.key(0))
posterior = bjm.infer(problem, model, key=fit_key)
print(posterior)

# %% [markdown]
# For the forecast thousands of draws are solved to 1930, and pelts drawn around them.

# %%
forecast = bjm.predict(
    problem,
    posterior,
    ts=np.linspace(1900, 1930, 361),
    key=forecast_key,
    num_samples=400 if small else 4_000,
)
labels = ["hare (thousands of pelts)", "lynx (thousands of pelts)"]
axes = plot.prediction(forecast, data=(years, pelts), forecast_from=1920, labels=labels)
axes[0].set_title("Hare and lynx on Hudson Bay, and their next ten years")
axes[1].set_xlabel("year")
axes[0].figure.set_size_inches(8.5, 4.6)
common.save("lynx_hare")

# %% [markdown]
# The dark band is where the populations may be, the light one where nine counts of ten
# should fall, if the equation is right. Whether the posterior is right can be seen: it
# is published, as 10,000 draws of Stan's sampler. By Stan's own rule a mean may be off
# by a quarter of the sd.

# %%
reference = common.read_columns("hudson_lynx_hare_reference.csv")
rows = bjm.posterior_table(posterior).parameters
mean, sd = (
    np.concatenate([getattr(row, of) for row in rows]) for of in ("mean", "stdv")
)
z = (mean - reference["mean"][:8]) / reference["sd"][:8]
ratio = sd / reference["sd"][:8]
print(f"at most {abs(z).max():.2f} published sds from the published means")
print(f"sds of {ratio.min():.2f} to {ratio.max():.2f} of the published")
