"""The normal prior between two ends."""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from .._check import like
from .._special import quantile, stretch
from .base import AbstractPrior, as_float, as_positive
from .support import as_finite, between, check_ends, shares


class TruncatedNormal(AbstractPrior):
    """The normal distribution between `low` and `high`, normalised.

    In Stan, a normal prior on a parameter with these bounds. The ends may be as far
    from the mean, and as close to each other, as you like.

    Attributes:
        mean: The mean before the ends were cut off, in the unit of the parameter.
        sd: The standard deviation before that, above 0, in that unit.
        low: The lower end of the support, or minus infinity.
        high: The upper end of the support, or infinity.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `sd` is not positive and finite, `mean` not finite, or `low` not
            below `high`.

    Example:
        ```python
        prior = bjm.priors.TruncatedNormal(mean=0.0, sd=1.0, low=0.0)
        prior.log_density(jnp.array([-1.0, 1.0]))  # [-inf, -0.726]
        ```
    """

    mean: Any
    sd: Any
    low: Any
    high: Any

    def __init__(
        self, mean: Any = 0.0, sd: Any = 1.0, low: Any = 0.0, high: Any = jnp.inf
    ):
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)
        self.low = as_float("low", low)
        self.high = as_float("high", high)
        check_ends(self.low, self.high)

    @property
    def ends(self):
        return self.low, self.high

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
        tail = stretch(a, width)
        log_all = jnp.log(jnp.where(is_tail, tail.share, of_centre))
        log_all = log_all - jnp.where(is_tail, tail.log_start, 0)
        density = -t * (a + t / 2) - log_all - jnp.log(sd)
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
    """Whether all is on one side of the mean, the end nearer to it, distance and width.

    Both are in standard deviations, the distance of that end from the mean. Where there
    is no tail, the end is the mean and the width meaningless.
    """
    is_tail = (low >= mean) | (high <= mean)
    end = jnp.where(is_tail, jnp.where(low >= mean, low, high), mean)
    is_finite = is_tail & jnp.isfinite(low) & jnp.isfinite(high)
    width = (jnp.where(is_finite, high, 1) - jnp.where(is_finite, low, 0)) / sd
    width = jnp.where(is_finite | ~is_tail, width, jnp.inf)
    return is_tail, end, jnp.abs(end - mean) / sd, width


def _erf_of_ends(mean: Array, sd: Array, *ends: Array) -> Array:
    """Twice the normal probability between the mean and each end, with its sign."""
    # One call for both: XLA compiles what is called twice twice.
    end = jnp.stack(ends)
    is_finite = jnp.isfinite(end)
    z = (jnp.where(is_finite, end, mean) - mean) / sd
    return jnp.where(is_finite, lax.erf(z / 2**0.5), jnp.sign(end))
