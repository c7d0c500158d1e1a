"""A noisy series, and a small recurrent network that foretells its end."""

import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal

WIDTH, SEEN = 4, 120
ts = np.arange(150.0)
truth = np.sin(0.25 * ts) + 0.5 * np.sin(0.6 * ts)
series = truth + np.random.default_rng(0).normal(0.0, 0.1, len(ts))


class Forecaster(bjm.Module):
    cell: bjm.Bayesian
    readout: bjm.BayesianLinear
    noise: bjm.AbstractParameter

    def read(self, past):
        """What comes next after each value of the past, and where it leaves the cell."""

        def step(hidden, x):
            hidden = self.cell(x[None], hidden, sample=False)
            return hidden, self.readout(hidden, sample=False)[0]

        return jax.lax.scan(step, jnp.zeros(WIDTH), past)

    def go_on(self, past, key, num_steps):
        """A series as it may go on, noise included, each value fed back."""

        def step(carry, key):
            hidden, mean = carry
            x = NormalLikelihood(self.noise.value).sample(key, mean)
            hidden = self.cell(x[None], hidden, sample=False)
            return (hidden, self.readout(hidden, sample=False)[0]), x

        hidden, means = self.read(past)
        return jax.lax.scan(step, (hidden, means[-1]), jax.random.split(key, num_steps))
