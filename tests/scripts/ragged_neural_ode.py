"""Twenty series of an oscillator, each at times of its own, and a neural ODE."""

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal, Normal


def van_der_pol(t, y):
    return [y[1], (1 - y[0] ** 2) * y[1] - y[0]]


rng = np.random.default_rng(1)
starts = rng.uniform(-2.0, 2.0, (20, 2))
ts, data = np.full((20, 20), np.nan), np.full((20, 20, 2), np.nan)  # NaN pads
for i, start in enumerate(starts):
    n = rng.integers(8, 21)
    ts[i, :n] = np.sort(rng.uniform(0.1, 6.0, n))
    solved = solve_ivp(van_der_pol, (0.0, 6.0), start, t_eval=ts[i, :n], rtol=1e-8)
    data[i, :n] = solved.y.T + rng.normal(0.0, 0.05, (n, 2))
seen = ~np.isnan(ts)


class Oscillator(bjm.Module):
    field: bjm.NeuralVectorField
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return self.field(t, y, args)


keys = jax.random.split(jax.random.key(0), 3)
model = Oscillator(
    field=bjm.NeuralVectorField(2, width=16, depth=1, key=keys[0]),
    noise=bjm.make_parameter(0.1, support="positive"),
)
problem = bjm.Problem(
    bjm.Solve(ts, t0=0.0, y0=starts, batched=True, mask=seen),
    likelihood=lambda m: NormalLikelihood(m.noise.value),
    observations=data,
    mask=seen,
    prior=bjm.Prior({"noise": LogNormal(-2.0, 1.0)}, default=Normal(0.0, 2.0)),
)
posterior = bjm.infer(problem, model, key=keys[1], num_starts=1)
print(posterior)
grid = np.linspace(0.0, 6.0, 61)
curves = bjm.predict(problem, posterior, ts=grid, key=keys[2], num_samples=400)
figure, axes = plt.subplots(2, 4, figsize=(12, 5), layout="constrained")
for i, ax in enumerate(axes.T):
    settings = {"data": (ts[i], data[i]), "ax": list(ax), "legend": False}
    plot.prediction(curves, entry=i, **settings)
axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
figure.savefig("ragged_neural_ode.png")
