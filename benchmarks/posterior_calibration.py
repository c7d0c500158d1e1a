"""Simulation-based calibration of the machinery: the case `calibration`.

A damped oscillator under a constant force, `x' = v`, `v' = -stiffness x - damping v +
force`, seen with noise. Start and force are unknown and enter the solution linearly, so
that under normal priors their posterior is a normal distribution, known from a matrix
exponential. Two engines, each as it is and with a fault that must show:

- the Laplace approximation, exact here, and with its standard deviations halved;
- importance sampling where the noise scale is unknown too and held as a logarithm, and
  with the Jacobian of that left out.
"""

import time

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy.linalg import expm

import BayesianJaxModels as bjm

STIFFNESS, DAMPING, NOISE = 4.0, 0.5, 0.5
TIMES, FORECAST = np.arange(1.0, 6.0), 7.0
NUM_DRAWS = 100
TOLERANCE = 1e-6
VARIANTS = {
    "Laplace": ("laplace", None),
    "Laplace, sd halved": ("laplace", "sd"),
    "importance sampling": ("importance", None),
    "importance sampling, no Jacobian": ("importance", "jacobian"),
}


class Oscillator(bjm.Module):
    """The vector field; its start and force are parameters.

    Attributes:
        start: Position and velocity at time 0.
        force: Of shape `(1,)`.
        log_noise: The logarithm of the noise scale, of shape `(1,)`, or `None` where it
            is known.
    """

    start: bjm.AbstractParameter
    force: bjm.AbstractParameter
    log_noise: bjm.AbstractParameter | None = None

    def __call__(self, t, state, args):
        """Velocity and acceleration."""
        position, velocity = state
        pull = -STIFFNESS * position - DAMPING * velocity
        return jnp.stack([velocity, pull + self.force.mean[0]])

    @property
    def noise(self):
        """The scale of the noise."""
        return NOISE if self.log_noise is None else jnp.exp(self.log_noise.mean)

    def positions(self):
        """At the observed times, and at that of the forecast."""
        trajectory = bjm.integrate(
            self,
            self.start.mean,
            jnp.asarray([0.0, *TIMES, FORECAST], self.start.mean.dtype),
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
            adjoint=diffrax.ForwardMode(),
            max_steps=500,
        )
        return trajectory.ys[1:, 0]

    def quantities(self):
        """What is ranked."""
        known = {"start": self.start.mean, "force": self.force.mean}
        if self.log_noise is not None:
            known["noise"] = self.noise
        return known | {"forecast": self.positions()[-1]}


class Density(eqx.Module):
    """The log joint density. The data are a field, so that nothing recompiles.

    Attributes:
        prior: Of all parameters.
        data: Noisy positions at the observed times.
        left_out: The share of the noise scale's Jacobian that is left out.
    """

    prior: bjm.Prior
    data: jax.Array
    left_out: jax.Array

    def __call__(self, drawn):
        """At a drawn model."""
        likelihood = bjm.NormalLikelihood(drawn.noise)
        log_likelihood = likelihood.log_prob(drawn.positions()[:-1], self.data)
        value = log_likelihood + bjm.log_prior(drawn, self.prior)
        if drawn.log_noise is None:
            return value
        return value - self.left_out * drawn.log_noise.mean[0]


def make_model(engine):
    """The model that an engine is for, and its prior."""
    start, force, log_noise = (
        bjm.make_parameter(value, init_raw_stdv=1.0)
        for value in (np.zeros(2), np.zeros(1), np.log([NOISE]))
    )
    normal = bjm.Normal(0.0, 1.0)
    if engine == "laplace":
        return Oscillator(start, force), bjm.Prior(default=normal)
    scale = bjm.OnNaturalScale(bjm.LogNormal(np.log(NOISE), 1.0), jnp.exp, jnp.log)
    prior = bjm.Prior({"log_noise": scale}, default=normal)
    return Oscillator(start, force, log_noise), prior


@eqx.filter_jit
def draw_truth(model, prior, key):
    """The quantities of a draw from the prior."""
    return bjm.sample_prior(model, prior, key).quantities()


@eqx.filter_jit
def simulate(key, truth):
    """Noisy positions of the oscillator with these quantities."""
    learnt = {"log_noise": jnp.log(truth["noise"])} if "noise" in truth else {}
    known = {"start": truth["start"], "force": truth["force"]} | learnt
    drawn = Oscillator(**{n: bjm.DeterministicParameter(x) for n, x in known.items()})
    likelihood = bjm.NormalLikelihood(drawn.noise)
    return likelihood.sample(key, drawn.positions()[:-1])


def infer(engine, fault, model, prior, key, data):
    """The posterior by an engine, with a fault or without."""
    left_out = jnp.asarray(fault == "jacobian", data.dtype)
    density = Density(prior, data, left_out)
    mode = bjm.map_estimate(density, model, key=key, num_starts=8, prior=prior)
    fit = bjm.laplace(density, mode.model)
    if engine == "laplace":
        width = 0.5 if fault == "sd" else 1.0
        return bjm.JointPosterior.gaussian(fit.model, width**2 * fit.covariance)
    return bjm.importance(density, fit, key=key, num_samples=500, num_rounds=3)


def exact_posterior(data):
    """Mean and covariance of start and force where the noise is known."""
    drift = np.array([[0, 1, 0], [-STIFFNESS, -DAMPING, 1], [0, 0, 0]])
    design = np.stack([expm(drift * t)[0] for t in TIMES])
    covariance = np.linalg.inv(np.eye(3) + design.T @ design / NOISE**2)
    return covariance @ design.T @ np.asarray(data) / NOISE**2, covariance


def largest_error(fit, data):
    """How far a fit is from the exact posterior, in its standard deviations."""
    mean, covariance = exact_posterior(data)
    stdv = np.sqrt(np.diagonal(covariance))
    off = np.abs(np.asarray(fit.mean) - mean) / stdv
    wide = np.abs(np.asarray(fit.covariance) - covariance) / np.outer(stdv, stdv)
    return float(max(off.max(), wide.max()))


def run(seed, num_simulations=200):
    """Calibrate all variants; everything in what it returns can be written as JSON."""
    rows = []
    for variant, (engine, fault) in VARIANTS.items():
        model, prior = make_model(engine)
        errors, k_hats = [], []

        def posterior_draws(key, data, model=model, prior=prior, own=(engine, fault)):
            keys = jax.random.split(key, 2)
            posterior = infer(*own, model, prior, keys[0], data)
            if own == ("laplace", None):
                errors.append(largest_error(posterior, data))
            if own[0] == "importance":
                k_hats.append(float(posterior.diagnostics.k_hat))
            return bjm.map_posterior(
                Oscillator.quantities, posterior, key=keys[1], num_samples=NUM_DRAWS
            )

        start = time.perf_counter()
        found = bjm.simulation_based_calibration(
            lambda key, model=model, prior=prior: draw_truth(model, prior, key),
            simulate,
            posterior_draws,
            key=jax.random.key(seed),
            num_simulations=num_simulations,
        )
        rows.append(
            {
                "variant": variant,
                "engine": engine,
                "seed": seed,
                "should_pass": fault is None,
                "passes": found.passes,
                "inside": dict(zip(found.names, found.inside.tolist(), strict=True)),
                "num_failed": found.num_failed,
                "run_s": time.perf_counter() - start,
                "num_ranks": found.num_ranks,
                "ranks": found.ranks.tolist(),
            }
            | ({"largest_error": max(errors)} if errors else {})
            | ({"max_k_hat": max(k_hats)} if k_hats else {})
        )
        print(variant, rows[-1]["run_s"], rows[-1]["inside"], errors and max(errors), k_hats and np.quantile(k_hats,[.5,.9,1]))
    return {"case": "calibration", "variants": rows}
