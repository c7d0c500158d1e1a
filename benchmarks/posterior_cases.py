"""Posteriors with a published or computed reference: what `posterior_quality.py` fits.

A case is a model, a prior, a log density of drawn models and the quantities of interest
with the means and standard deviations that they should have.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from core import print_aligned
from jax.scipy.stats import norm

import BayesianJaxModels as bjm

REFERENCES = Path(__file__).parent / "references"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class PosteriorCase:
    """A posterior, and what is known of it.

    Attributes:
        name: As on the command line.
        model: Says what the parameters are.
        prior: Starts are drawn from it.
        log_density: From a drawn model to the log joint density.
        quantities: From a drawn model to a vector of what is compared.
        names: Of the quantities.
        reference: Means and standard deviations, `(2, number of quantities)`.
    """

    name: str
    model: Any
    prior: bjm.Prior
    log_density: Callable
    quantities: Callable
    names: list[str]
    reference: np.ndarray


def solve(field, y0, ts):
    """Integrate tightly enough for a log density, forward mode allowed."""
    return bjm.integrate(
        field,
        y0,
        ts,
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        adjoint=diffrax.ForwardMode(),
        max_steps=500,
    )


def at_log(prior):
    """The prior of what a parameter holds the logarithm of."""
    return bjm.priors.OnNaturalScale(prior, jnp.exp, jnp.log)


def positive_normal(mean, sd):
    """Normal above zero, for the exponential of a parameter."""
    return at_log(bjm.priors.TruncatedNormal(mean, sd, low=0.0))


class LotkaVolterra(bjm.Module):
    """`u' = (alpha - beta v) u`, `v' = (delta u - gamma) v`, in log populations.

    Attributes:
        log_rates: The logarithms of alpha, beta, gamma and delta, per year.
        log_start: Of the two populations in 1900, thousands of pelts.
        log_noise: Of the two noise scales.
    """

    log_rates: bjm.AbstractParameter
    log_start: bjm.AbstractParameter
    log_noise: bjm.AbstractParameter

    def __call__(self, t, log_populations, args):
        """The vector field."""
        alpha, beta, gamma, delta = jnp.exp(self.log_rates.mean)
        hare, lynx = jnp.exp(log_populations)
        return jnp.stack([alpha - beta * lynx, delta * hare - gamma])


class LynxHareDensity(eqx.Module):
    """Log-normal counts around the populations."""

    prior: bjm.Prior
    years: Any
    counts: Any

    def __call__(self, drawn):
        """The log joint density, minus infinity where the solve failed."""
        trajectory = solve(drawn, drawn.log_start.mean, self.years)
        safe = jnp.where(trajectory.succeeded, trajectory.ys, 0.0)
        likelihood = bjm.likelihoods.LogNormalLikelihood(jnp.exp(drawn.log_noise.mean))
        log_likelihood = likelihood.log_prob(jnp.exp(safe), self.counts)
        log_likelihood = jnp.where(trajectory.succeeded, log_likelihood, -jnp.inf)
        return log_likelihood + bjm.log_prior(drawn, self.prior)


def lynx_hare():
    """Lynx and hare: 8 parameters, and the populations from 1900 to 1930."""
    reference = json.loads((REFERENCES / "lynx_hare.json").read_text())
    model = LotkaVolterra(
        bjm.make_parameter(np.log([1.0, 0.05, 1.0, 0.05]), init_raw_stdv=0.3),
        bjm.make_parameter(np.log([10.0, 10.0]), init_raw_stdv=0.3),
        bjm.make_parameter([-1.0, -1.0], init_raw_stdv=0.3),
    )
    rates = positive_normal([1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05])
    prior = bjm.Prior(
        {
            "log_rates": rates,
            "log_start": bjm.priors.Normal(np.log(10.0), 1.0),
            "log_noise": bjm.priors.Normal(-1.0, 1.0),
        }
    )

    def quantities(drawn):
        trajectory = solve(drawn, drawn.log_start.mean, jnp.arange(31.0))
        unknowns = [drawn.log_rates.mean, drawn.log_start.mean, drawn.log_noise.mean]
        return jnp.exp(jnp.concatenate([*unknowns, trajectory.ys.T.ravel()]))

    density = LynxHareDensity(
        prior, jnp.asarray(reference["years"], float), jnp.asarray(reference["counts"])
    )
    return _case("lynx_hare", model, prior, density, quantities, reference)


class SIR(bjm.Module):
    """Susceptible, infectious, recovered: `S' = -beta S I / N`, `R' = gamma I`."""

    log_beta: bjm.AbstractParameter
    log_gamma: bjm.AbstractParameter
    log_inverse_dispersion: bjm.AbstractParameter
    population: float = eqx.field(static=True)

    def __call__(self, t, state, args):
        """The vector field, in persons per day."""
        susceptible, infectious, _ = state
        infections = jnp.exp(self.log_beta.mean) * susceptible * infectious
        infections = infections / self.population
        recoveries = jnp.exp(self.log_gamma.mean) * infectious
        return jnp.stack([-infections, infections - recoveries, recoveries])

    def infectious(self, days):
        """The number in bed on each day after day 0, and whether the solve is good."""
        y0 = jnp.array([self.population - 1, 1.0, 0.0])
        trajectory = solve(self, y0, jnp.concatenate([jnp.zeros(1), days]))
        return trajectory.ys[1:, 1], trajectory.succeeded


class InfluenzaDensity(eqx.Module):
    """Negative binomial counts around the number in bed."""

    prior: bjm.Prior
    days: Any
    in_bed: Any

    def __call__(self, drawn):
        """The log joint density, minus infinity where the solve failed."""
        infectious, succeeded = drawn.infectious(self.days)
        safe = jnp.where(succeeded, infectious, 1.0)
        dispersion = jnp.exp(-drawn.log_inverse_dispersion.mean)
        likelihood = bjm.likelihoods.NegativeBinomialLikelihood(dispersion)
        log_likelihood = likelihood.log_prob(safe, self.in_bed)
        log_likelihood = jnp.where(succeeded, log_likelihood, -jnp.inf)
        return log_likelihood + bjm.log_prior(drawn, self.prior)


def influenza():
    """Influenza in a boarding school, 1978: 3 parameters, R0 and the number in bed."""
    reference = json.loads((REFERENCES / "influenza.json").read_text())
    model = SIR(
        *[bjm.make_parameter(np.log(x), init_raw_stdv=0.3) for x in (2.0, 0.5, 0.2)],
        population=float(reference["population"]),
    )
    prior = bjm.Prior(
        {
            "log_beta": positive_normal(2.0, 1.0),
            "log_gamma": positive_normal(0.4, 0.5),
            "log_inverse_dispersion": at_log(bjm.priors.Exponential(5.0)),
        }
    )
    days = jnp.asarray(reference["days"], float)

    def quantities(drawn):
        beta, gamma = jnp.exp(drawn.log_beta.mean), jnp.exp(drawn.log_gamma.mean)
        inverse = jnp.exp(drawn.log_inverse_dispersion.mean)
        known = jnp.stack([beta, gamma, inverse, beta / gamma, 1 / gamma])
        return jnp.concatenate([known, drawn.infectious(days)[0]])

    density = InfluenzaDensity(prior, days, jnp.asarray(reference["in_bed"], float))
    return _case("influenza", model, prior, density, quantities, reference)


class Skewed(bjm.Module):
    """Two unknowns of any sign."""

    x: bjm.AbstractParameter
    y: bjm.AbstractParameter


GAMMA, DELTA = -2.0, 1.5


def skewed_log_density(drawn):
    """`x` and `z` are standard normal, with correlation 0.6; `y` stretches `z`."""
    x, y = drawn.x.mean, drawn.y.mean
    z = GAMMA + DELTA * jnp.arcsinh(y)
    slope = DELTA / jnp.sqrt(1 + y**2)
    return norm.logpdf(x) + norm.logpdf(z, 0.6 * x, 0.8) + jnp.log(slope)


def skewed():
    """Two parameters whose moments are known, the second of skewness 2.41.

    It has the SU distribution of Johnson 1949, "Systems of frequency curves generated
    by methods of translation", Biometrika 36.
    """
    model = Skewed(*[bjm.make_parameter(0.0, init_raw_stdv=0.3) for _ in range(2)])
    w, ratio = np.exp(DELTA**-2), GAMMA / DELTA
    mean = -np.sqrt(w) * np.sinh(ratio)
    sd = np.sqrt((w - 1) * (w * np.cosh(2 * ratio) + 1) / 2)
    reference = {"quantities": [["x", 0.0, 1.0], ["y", mean, sd]]}
    prior = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))
    return _case(
        "skewed", model, prior, skewed_log_density, bjm.flatten_means, reference
    )


def _case(name, model, prior, density, quantities, reference):
    names, means, stdvs = zip(*reference["quantities"], strict=True)
    table = np.array([means, stdvs])
    return PosteriorCase(name, model, prior, density, quantities, list(names), table)


CASES = {"lynx_hare": lynx_hare, "influenza": influenza, "skewed": skewed}


def score(path):
    """The mean score over reference draws, in Monte Carlo errors: zero if all is right.

    The gradient of the log density in the logarithms of the parameters, which are not
    bounded, averages to zero over draws of the posterior that it is the density of.
    """
    case = CASES["lynx_hare"]()
    draws = np.log(np.genfromtxt(path, delimiter=",", comments="#", skip_header=2))

    def gradient(vector):
        return jax.jacfwd(
            lambda vector: case.log_density(bjm.unflatten_means(case.model, vector))
        )(vector)

    scores = np.asarray(
        jax.jit(lambda x: jax.lax.map(gradient, x, batch_size=100))(draws)
    )
    error = scores.std(axis=0) / len(scores) ** 0.5
    names = case.names[: draws.shape[1]]
    rows = [("quantity", "of", "mean score", "error", "ratio")]
    ratios = scores.mean(axis=0) / error
    for name, mean, one, ratio in zip(
        names, scores.mean(axis=0), error, ratios, strict=True
    ):
        rows.append((name, "log", f"{mean:.3f}", f"{one:.3f}", f"{ratio:.2f}"))
    print_aligned(rows)
    worst = np.max(np.abs(ratios))
    print(f"\n{len(draws)} draws; the largest is {worst:.2f} Monte Carlo errors (3).")
    return worst
