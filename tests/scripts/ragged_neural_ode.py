"""A neural ODE for twenty series of different lengths, and a band for a new one."""

import jax
import numpy as np
from scipy.integrate import solve_ivp

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal


def measured(start, seconds):
    """A damped pendulum, which the script is not told of."""
    solved = solve_ivp(
        lambda t, y: [y[1], -np.sin(y[0]) - 0.2 * y[1]],
        (0.0, seconds.max()),
        start,
        t_eval=seconds,
        rtol=1e-8,
    )
    return solved.y.T


rng = np.random.default_rng(0)
starts = rng.uniform(-1.5, 1.5, (20, 2))
seconds = np.full((20, 12), np.nan)  # NaN: no sample
states = np.full((20, 12, 2), np.nan)
for i, length in enumerate(rng.integers(5, 13, 20)):
    seconds[i, :length] = np.sort(rng.uniform(0.3, 6.0, length))
    exact = measured(starts[i], seconds[i, :length])
    states[i, :length] = exact + rng.normal(0.0, 0.05, (length, 2))

field = bjm.NeuralVectorField(2, width=16, depth=1, key=jax.random.key(0))
there = ~np.isnan(seconds)
problem = bjm.Problem(
    bjm.Solve(seconds, t0=0.0, y0=starts, mask=there, batched=True),
    NormalLikelihood(0.05),
    observations=states,
    mask=there,
    prior=bjm.Prior(default=Normal(0.0, 1.0)),
)
posterior = bjm.infer(problem, field, key=jax.random.key(1))
print(posterior)

new = bjm.Solve(np.linspace(0.0, 6.0, 61), y0=np.array([1.0, -0.5]))
band = bjm.map_posterior(new, posterior, key=jax.random.key(2), num_samples=500)
axes = plot.trajectories(band, labels=["angle (rad)", "velocity (rad/s)"])
axes[0].figure.savefig("ragged_neural_ode.png")
