"""Distributions of entries between two ends."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import betaln
from jaxtyping import Array, Float

from .._check import as_float_array, as_positive, like
from .._special import STIRLING_FROM, log_mass, quantile, scaled_beta_density
from .distribution import AbstractPrior
from .support import (
    as_finite,
    between,
    check_ends,
    guarded,
    guarded_by_size,
    has_end,
    log_power,
    representable,
    shares,
)


class Uniform(AbstractPrior):
    """The uniform distribution between `low` and `high`, the ends included.

    At the ends the density falls to nothing at once, which neither a search nor NUTS
    can see coming: let the parameter hold the logit, as in the example, or write a
    prior that fades out.

    Attributes:
        low: The lower end, in the unit of the parameter.
        high: The upper end, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If an end is not finite, or `low` not below `high`.

    Example:
        ```python
        prior = bjm.Uniform(low=0.0, high=4.0)
        prior.log_density(jnp.array([-1.0, 0.0, 3.0]))  # [-inf, -1.386, -1.386]
        # The parameter holds the logit of a share that may be anything.
        logit = jax.scipy.special.logit
        prior = bjm.OnNaturalScale(bjm.Uniform(0.0, 1.0), jax.nn.sigmoid, logit)
        prior.log_density(jnp.array([0.0]))  # [-1.386]
        ```
    """

    low: Float[Array, "..."]
    high: Float[Array, "..."]

    def __init__(self, low: Any = 0.0, high: Any = 1.0):
        self.low = as_finite("low", low)
        self.high = as_finite("high", high)
        check_ends(self.low, self.high)

    def log_density(self, value):
        low, high = like(value, low=self.low, high=self.high)
        possible = (low <= value) & (value <= high)
        # Halves, because the width of the widest overflows.
        half = high / 2 - low / 2

        def density(half):
            return -jnp.log(half) - math.log(2)

        return guarded(possible & (half > 0), density, half)

    def sample(self, key, value):
        low, high = like(value, low=self.low, high=self.high)
        share = shares(key, value)
        return between(low * (1 - share) + high * share, low, high)


class Beta(AbstractPrior):
    """The beta distribution of a share; its mean is `alpha / (alpha + beta)`.

    Stan's `beta(alpha, beta)`; SciPy's `a` and `b`. At an end where the density is
    infinite, that of an `alpha` or a `beta` below 1, the log density is minus infinity,
    so that no search ends there.

    Attributes:
        alpha: Above 0; the greater, the less there is near 0.
        beta: Above 0; the greater, the less there is near 1.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.Beta(alpha=2.0, beta=5.0)
        prior.log_density(jnp.array([0.0, 0.2, 0.9]))  # [-inf, 0.899, -5.914]
        ```
    """

    alpha: Float[Array, "..."]
    beta: Float[Array, "..."]

    def __init__(self, alpha: Any, beta: Any):
        self.alpha = as_positive("alpha", alpha)
        self.beta = as_positive("beta", beta)

    def log_density(self, value):
        alpha, beta = like(value, alpha=self.alpha, beta=self.beta)
        possible = has_end(value, alpha) & has_end(1 - value, beta)
        possible = possible & (alpha > 0) & (beta > 0)

        def density(value, alpha, beta):
            below = log_power(value, alpha - 1)
            above = log_power(value, beta - 1, lambda x: jnp.log1p(-x), zero=1)
            return below + above - betaln(alpha, beta)

        def of_many(value, alpha, beta):
            scaled = scaled_beta_density(value, alpha, beta)
            return scaled - jnp.log(value) - jnp.log1p(-value)

        # At an end the plain form holds, where the other parameter may be large.
        is_many = jnp.maximum(alpha, beta) > STIRLING_FROM
        is_many = is_many & (value > 0) & (value < 1)
        entries = value, alpha, beta
        return guarded_by_size(is_many, possible, of_many, density, *entries)

    def sample(self, key, value):
        alpha, beta = like(value, alpha=self.alpha, beta=self.beta)
        drawn = jax.random.beta(key, alpha, beta, value.shape, value.dtype)
        return jnp.minimum(representable(drawn), 1 - 2 * jnp.finfo(value.dtype).eps)


class TruncatedNormal(AbstractPrior):
    """The normal distribution between `low` and `high`, normalised.

    What Stan means by a normal prior on a parameter that is declared positive. It may
    lie as far from the mean, and be as narrow, as you like.

    Attributes:
        mean: The mean before the ends were cut off, in the unit of the parameter.
        sd: The standard deviation before that, above 0, in that unit.
        low: Below this there is nothing.
        high: Above this there is nothing; infinity for no such end.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `sd` is not positive and finite, `mean` not finite, or `low` not
            below `high`.

    Example:
        ```python
        prior = bjm.TruncatedNormal(mean=0.0, sd=1.0, low=0.0)
        prior.log_density(jnp.array([-1.0, 1.0]))  # [-inf, -0.726]
        ```
    """

    mean: Float[Array, "..."]
    sd: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]

    def __init__(
        self, mean: Any = 0.0, sd: Any = 1.0, low: Any = 0.0, high: Any = jnp.inf
    ):
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)
        self.low = as_float_array(low, "low")
        self.high = as_float_array(high, "high")
        check_ends(self.low, self.high)

    def log_density(self, value):
        fields = like(value, mean=self.mean, sd=self.sd, low=self.low, high=self.high)
        mean, sd, low, high = fields
        possible = jnp.isfinite(mean) & jnp.isfinite(sd) & (sd > 0) & (low < high)
        possible = possible & (low <= value) & (value <= high) & jnp.isfinite(value)
        # What is not possible becomes a possible case, so that gradients stay finite.
        value, mean, sd, low, high = (
            jnp.where(possible, entry, safe)
            for entry, safe in zip((value, *fields), (1, 0, 1, 0, 2), strict=True)
        )
        is_tail, end, a, width = _tail(mean, sd, low, high)
        t = jnp.abs(value - end) / sd
        below, above = _erf_of_ends(mean, sd, low, high)
        of_centre = math.sqrt(math.pi / 2) * jnp.where(is_tail, 1, above - below)
        of_all = jnp.where(is_tail, log_mass(a, width), jnp.log(of_centre))
        density = -t * (a + t / 2) - of_all - jnp.log(sd)
        return jnp.where(possible, density, -jnp.inf)

    def sample(self, key, value):
        mean, sd, low, high = like(
            value, mean=self.mean, sd=self.sd, low=self.low, high=self.high
        )
        share = shares(key, value)
        is_tail, end, a, width = _tail(mean, sd, low, high)
        distance = sd * quantile(share, a, width)
        of_tail = jnp.where(low >= mean, end + distance, end - distance)
        below, above = _erf_of_ends(mean, sd, low, high)
        erf = jnp.where(is_tail, 0, below * (1 - share) + above * share)
        of_centre = mean + 2**0.5 * sd * lax.erf_inv(erf)
        return between(jnp.where(is_tail, of_tail, of_centre), low, high)


def _tail(mean: Array, sd: Array, low: Array, high: Array) -> tuple[Array, ...]:
    """Whether all is on one side of the mean; the end that is nearer to it.

    The third is the distance of that end from the mean, and the last the width, both in
    standard deviations. Where there is no tail, the end is the mean and the width that
    of another case.
    """
    is_tail = (low >= mean) | (high <= mean)
    end = jnp.where(is_tail, jnp.where(low >= mean, low, high), mean)
    is_finite = is_tail & jnp.isfinite(low) & jnp.isfinite(high)
    width = (jnp.where(is_finite, high, 1) - jnp.where(is_finite, low, 0)) / sd
    width = jnp.where(is_finite | ~is_tail, width, jnp.inf)
    return is_tail, end, jnp.abs(end - mean) / sd, width


def _erf_of_ends(mean: Array, sd: Array, *ends: Array) -> list[Array]:
    """Twice the normal probability between the mean and each end, with its sign."""
    found = []
    for end in ends:
        is_finite = jnp.isfinite(end)
        z = (jnp.where(is_finite, end, mean) - mean) / sd
        found.append(jnp.where(is_finite, lax.erf(z / 2**0.5), jnp.sign(end)))
    return found
