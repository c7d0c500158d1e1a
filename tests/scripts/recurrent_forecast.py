"""A noisy series, and a small recurrent network that foretells how it goes on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

ts, SEEN, AHEAD, WIDTH = np.arange(150.0), 120, 30, 4
truth = np.sin(0.25 * ts) + 0.5 * np.sin(0.6 * ts)
series = truth + np.random.default_rng(0).normal(0.0, 0.1, len(ts))


class Forecaster(bjm.Module):
    cell: bjm.Bayesian
    readout: bjm.BayesianLinear
    noise: bjm.AbstractParameter

    def step(self, hidden, x):
        hidden = self.cell(x[None], hidden, sample=False)
        return hidden, self.readout(hidden, sample=False)[0]

    def read(self, past):
        """What comes after each value."""
        return jax.lax.scan(lambda *at: self.step(*at), jnp.zeros(WIDTH), past)

    def go_on(self, key):
        """How the series may go on: each value, noise included, is fed back."""

        def step(carry, key):
            x = NormalLikelihood(self.noise.value).sample(key, carry[1])
            return self.step(carry[0], x), x

        hidden, means = self.read(series[:SEEN])
        return jax.lax.scan(step, (hidden, means[-1]), jax.random.split(key, AHEAD))[1]


keys = jax.random.split(jax.random.key(0), 5)
model = Forecaster(
    cell=bjm.Bayesian(eqx.nn.GRUCell(1, WIDTH, key=keys[0])),
    readout=bjm.BayesianLinear(WIDTH, 1, key=keys[1]),
    noise=bjm.make_parameter(0.3, support="positive"),
)
problem = bjm.Problem(
    lambda m: m.read(series[: SEEN - 1])[1],
    likelihood=lambda m: NormalLikelihood(m.noise.value),
    observations=series[1:SEEN],
    prior=bjm.Prior({"noise": LogNormal(-1.5, 0.7)}, default=Normal(0.0, 1.0)),
)
posterior = bjm.infer(problem, model, key=keys[2])
fits = bjm.predict(problem, posterior, key=keys[3], num_samples=500)
ahead = jax.vmap(Forecaster.go_on)(fits.drawn, jax.random.split(keys[4], 500))
axes = plot.prediction(fits, ts=ts[1:SEEN], data=(ts, series))
plot.trajectories(ahead, ts=ts[SEEN:], ax=axes, colour="C1", legend=False)
axes[0].figure.savefig("recurrent_forecast.png")
