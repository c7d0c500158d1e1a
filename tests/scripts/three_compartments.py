"""A drug in three compartments: twelve concentrations, two of them missing."""

import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import LogNormalLikelihood
from BayesianJaxModels.priors import LogNormal

DOSE = 100.0  # mg, into the blood at time zero
hours = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0, 18.0, 24.0])
mg_per_litre = np.array(
    [10.56, 6.26, np.nan, 3.83, 2.28, 1.77, 1.29, np.nan, 0.82, 0.91, 0.51, 0.38]
)


class ThreeCompartments(bjm.Module):
    clearance: bjm.AbstractParameter  # litres per hour
    volumes: bjm.AbstractParameter  # litres: blood, organs, fat
    flows: bjm.AbstractParameter  # litres per hour, to organs and to fat
    noise: bjm.AbstractParameter

    def __call__(self, t, amounts, args):
        blood, organs, fat = amounts / self.volumes.value
        to_organs, to_fat = self.flows.value * (blood - jnp.stack([organs, fat]))
        out = self.clearance.value * blood
        return jnp.stack([-out - to_organs - to_fat, to_organs, to_fat])


model = ThreeCompartments(
    clearance=bjm.make_parameter(3.0, support="positive"),
    volumes=bjm.make_parameter([10.0, 15.0, 40.0], support="positive"),
    flows=bjm.make_parameter([5.0, 3.0], support="positive"),
    noise=bjm.make_parameter(0.1, support="positive"),
)
prior = bjm.Prior(
    {
        "clearance": LogNormal(np.log(3.0), 0.5),
        "volumes": LogNormal(np.log([10.0, 15.0, 40.0]), 0.3),
        "flows": LogNormal(np.log([5.0, 3.0]), 0.4),
        "noise": LogNormal(np.log(0.1), 0.5),
    }
)
problem = bjm.Problem(
    bjm.Solve(hours, t0=0.0, y0=jnp.array([DOSE, 0.0, 0.0])),
    likelihood=lambda m: LogNormalLikelihood(m.noise.value),
    observations=mg_per_litre,
    mask=~np.isnan(mg_per_litre),
    observe=lambda solved, m: solved.ys[..., 0] / m.volumes.value[0],
    prior=prior,
)
posterior = bjm.infer(problem, model, key=jax.random.key(0))
print(posterior)
settings = {"key": jax.random.key(1), "num_samples": 1_000}
band = bjm.predict(problem, posterior, ts=np.linspace(0.1, 36.0, 80), **settings)
[axes] = plot.prediction(band, data=(hours, mg_per_litre), labels=["mg per litre"])
axes.figure.savefig("three_compartments.png")
