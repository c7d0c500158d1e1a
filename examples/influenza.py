"""Influenza in a boarding school: how contagious, and how does the epidemic end?

In January 1978 influenza went through a school of 763 boys in fourteen days (British
Medical Journal 1978, 1:587). Data are the numbers in bed. The model has susceptible and
infectious boys, `S' = -beta S I / N` and `I' = beta S I / N - gamma I`, and negative
binomial counts around `I`, with the priors of Grinsztajn, Semenova, Margossian & Riou
2021, "Bayesian workflow for disease transmission modeling in Stan", arXiv:2006.02985.
All fourteen days give R0 = beta / gamma; the first nine give a forecast of the rest.

    python examples/influenza.py
"""

import textwrap
from dataclasses import replace
from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

HERE = Path(__file__).parent
POPULATION = 763.0
LAST_SEEN = 9  # the day on which the forecast is made
# Mean and sd of the posterior from all days, by quadrature on a grid.
EXACT = {
    "beta, per day": (1.73493, 0.0528411),
    "gamma, per day": (0.541972, 0.0453683),
    "1 / dispersion": (0.137498, 0.0748165),
    "R0": (3.22239, 0.275893),
}
SMALL = {"num_samples": 400, "num_draws": 100}


class SIR(bjm.Module):
    """Three positive unknowns, held as logarithms: their posterior is less skewed."""

    log_beta: bjm.AbstractParameter
    log_gamma: bjm.AbstractParameter
    log_excess: bjm.AbstractParameter  # of 1 / dispersion: counts beyond Poisson noise

    def __call__(self, t, state, args):
        """The vector field: susceptible and infectious boys, per day."""
        susceptible, infectious = state
        infections = jnp.exp(self.log_beta.mean) * susceptible * infectious / POPULATION
        recoveries = jnp.exp(self.log_gamma.mean) * infectious
        return jnp.stack([-infections, infections - recoveries])

    def counts(self):
        """How the number in bed scatters around the second component of the state."""
        return bjm.NegativeBinomialLikelihood(
            jnp.exp(-self.log_excess.mean), observe=1
        )


class LogDensity(eqx.Module):
    """Prior and data as a function of a drawn model.

    Data are arrays in it, not in a closure: other days to be seen need no compilation.
    """

    prior: bjm.Prior
    times: jax.Array
    in_bed: jax.Array
    seen: jax.Array

    def __call__(self, drawn):
        """The log joint density; minus infinity where a solve fails."""
        states = bjm.integrate(
            drawn,
            jnp.array([POPULATION - 1, 1.0]),
            self.times,
            stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-5),
            adjoint=diffrax.ForwardMode(),  # three unknowns: the faster way round
        ).ys
        log_likelihood = drawn.counts().log_prob(states[1:], self.in_bed, self.seen)
        return log_likelihood + bjm.log_prior(drawn, self.prior)


def unknowns(drawn):
    """What the table shows."""
    log_beta, log_gamma = drawn.log_beta.mean, drawn.log_gamma.mean
    rows = [log_beta, log_gamma, drawn.log_excess.mean, log_beta - log_gamma]
    return jnp.exp(jnp.stack(rows))


def main(*, seed=0, num_samples=4_000, num_draws=4_000, output=HERE / "influenza.png"):
    """Fit all days and the first nine, print, forecast and draw the picture.

    Args:
        seed: The seed of every random number.
        num_samples: Draws in a round of importance sampling.
        num_draws: How many trajectories make the forecast.
        output: Where the picture goes, a PNG file.

    Returns:
        The `table` (unknown; mean, sd, exact mean, exact sd), the `posteriors` and
        weighted `r0` of both fits, the `forecast` of counts as a `Summary`, and the
        `coverage` of the days that followed.
    """
    keys = list(jax.random.split(jax.random.key(seed), 8))
    # The first lines of the file say where the numbers are from.
    file = HERE / "data" / "influenza_1978.csv"
    day, in_bed, _ = np.loadtxt(file, delimiter=",", skiprows=4).T
    model = SIR(*[bjm.make_parameter(np.log(x)) for x in (2.0, 0.4, 0.2)])
    priors = {
        "log_beta": bjm.TruncatedNormal(2.0, 1.0),
        "log_gamma": bjm.TruncatedNormal(0.4, 0.5),
        "log_excess": bjm.Exponential(5.0),
    }
    prior = bjm.Prior(
        {name: bjm.OnNaturalScale(p, jnp.exp, jnp.log) for name, p in priors.items()}
    )
    times = jnp.asarray(np.arange(15.0))  # one boy fell ill on day 0
    results = {"posteriors": {}, "r0": {}}
    for name, last in (("all 14 days", 14), (f"the first {LAST_SEEN}", LAST_SEEN)):
        seen = jnp.asarray(day <= last)
        density = LogDensity(prior, times, jnp.asarray(in_bed), seen)
        mode = bjm.map_estimate(density, model, key=keys.pop(), prior=prior)
        posterior = bjm.importance(
            density,
            bjm.laplace(density, mode.model),
            key=keys.pop(),
            num_samples=num_samples,
        )
        print(f"{name}: {mode.num_agree} of 16 starts agree; {posterior.diagnostics}")
        results["posteriors"][name] = posterior
