"""What the densities and draws of counts share."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from .._special import HALF_LOG_2_PI, stirling_remainder

# From here on `jax.random.poisson` would overflow its integers.
LARGEST_RATE = 1e9


def draw_counts(key: PRNGKeyArray, rate: Array) -> Array:
    """Poisson draws as floats; NaN where the rate is too large for them."""
    can_be_drawn = rate < LARGEST_RATE
    rate = jnp.where(can_be_drawn, rate, 1)
    counts = jax.random.poisson(key, rate, rate.shape).astype(rate.dtype)
    return jnp.where(can_be_drawn, counts, jnp.nan)


def not_below_zero(mean: Array) -> Array:
    """The mean, or 0 with the slope of what comes above it."""
    return mean + lax.stop_gradient(jnp.maximum(mean, 0) - mean)


def by_count(
    count: Array, mean: Array, cost_of_none: Array, of_some: Callable
) -> Array:
    """The log density where none is counted, and where some are."""
    is_none, is_possible = count == 0, mean > 0
    count = jnp.where(is_none, 1, count)
    some = of_some(count, jnp.where(~is_none & is_possible, mean, 1))
    some = jnp.where(is_possible, some, -jnp.inf)
    return jnp.where(is_none, 0 - cost_of_none, some)


def log_of_own_mean(count: Array) -> Array:
    """The log Poisson density of a count, above 0, where it is the mean."""
    return -jnp.log(count) / 2 - HALF_LOG_2_PI - stirling_remainder(count)
