"""Hare and lynx on Hudson Bay: from data to a checked forecast."""

import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, plot, priors

file = "hudson_lynx_hare.csv"  # year, and thousands of pelts: hare, lynx
years, *pelts = np.loadtxt(file, delimiter=",", skiprows=4, unpack=True)


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
rates = priors.TruncatedNormal([1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05])
rules = {"rates": rates, "start": priors.LogNormal(np.log(10), 1.0)}
problem = bjm.Problem(
    bjm.Solve(years, y0=lambda m: m.start.value),
    likelihood=lambda m: likelihoods.LogNormalLikelihood(m.noise.value),
    observations=np.stack(pelts, axis=1),
    prior=bjm.Prior(rules, default=priors.LogNormal(-1.0, 1.0)),
)
fit_key, key = jax.random.split(jax.random.key(0))
posterior = bjm.infer(problem, model, key=fit_key)
print(posterior)
ahead = np.linspace(1900, 1930, 181)
found = bjm.predict(problem, posterior, ts=ahead, key=key, num_samples=2_000)
axes = plot.prediction(found, data=(years, problem.observations), forecast_from=1920)
axes[0].figure.savefig("lynx_hare.png")
