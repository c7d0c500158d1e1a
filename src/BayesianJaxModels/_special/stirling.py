"""Gamma functions where a difference of large numbers would lose digits."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Stirling's series, from the last coefficient on: 5.11.1 of the NIST Digital Library of
# Mathematical Functions. From 8 on its error is below 1e-15.
STIRLING_FROM = 8
STIRLING = (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
HALF_LOG_2_PI = 0.5 * np.log(2 * np.pi).item()


@jax.custom_jvp
def stirling_remainder(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`gammaln(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2)` for a positive `x`.

    By Stirling's series, for a small `x` at `x + 8`: by how much the remainder falls
    over a step is known, and cancels less than `gammaln` with the terms above.
    """
    return _remainder_and_slope(x)[0]


@stirling_remainder.defjvp
def _(primals, tangents):
    (x,), (tangent,) = primals, tangents
    remainder, slope = _remainder_and_slope(x)
    return remainder, slope * tangent


def _remainder_and_slope(x: Array) -> tuple[Array, Array]:
    is_small = x < STIRLING_FROM
    steps = jnp.where(is_small, x, STIRLING_FROM)[..., None]
    steps = steps + jnp.arange(STIRLING_FROM, dtype=x.dtype)
    logs = jnp.log1p(1 / steps)
    fall = jnp.sum((steps + 0.5) * logs - 1, -1)
    slope_of_fall = jnp.sum(logs - (steps + 0.5) / steps / (steps + 1), -1)
    x = jnp.where(is_small, x + STIRLING_FROM, x)
    series = slope_of_series = jnp.zeros_like(x)
    for power, coefficient in zip(range(13, 0, -2), STIRLING, strict=True):
        series = series / x**2 + coefficient
        slope_of_series = slope_of_series / x**2 - power * coefficient
    remainder = series / x + jnp.where(is_small, fall, 0)
    slope = slope_of_series / x / x + jnp.where(is_small, slope_of_fall, 0)
    return remainder, slope


def deviance(
    x: Float[Array, "*shape"],
    centre: Float[Array, "*shape"],
    difference: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`x log(x / centre) - difference`, where that is `x - centre`; all positive.

    The saddle-point form of Loader (2000), "Fast and accurate computation of binomial
    probabilities": what large counts lose by cancelling logarithms stays.
    """
    is_near = jnp.abs(difference) < 0.5 * centre
    # The slope of a ratio overflows where the centre is small, so it is not asked for.
    near = jnp.where(is_near, difference, 0) / jnp.where(is_near, centre, 1)
    near = centre * ((1 + near) * jnp.log1p(near) - near)
    return jnp.where(is_near, near, x * (jnp.log(x) - jnp.log(centre)) - difference)


def scaled_gamma_density(
    x: Float[Array, "*shape"], a: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """`a log(x) - x - gammaln(a)`, without a difference of large numbers.

    Loader (2000), section 7. Both are positive.
    """
    x = jnp.maximum(x, jnp.finfo(x.dtype).tiny)
    at_mode = jnp.log(a) / 2 - HALF_LOG_2_PI - stirling_remainder(a)
    return at_mode - deviance(a, x, a - x)


def scaled_beta_density(
    x: Float[Array, "*shape"], a: Float[Array, "*shape"], b: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """`a log(x) + b log(1 - x) - betaln(a, b)`, likewise, for `0 < x < 1`."""
    n, difference = a + b, a * (1 - x) - b * x
    apart = deviance(a, n * x, difference) + deviance(b, n * (1 - x), -difference)
    widths = (jnp.log(a) + jnp.log(b) - jnp.log(n)) / 2 - HALF_LOG_2_PI
    remainders = stirling_remainder(n) - stirling_remainder(a) - stirling_remainder(b)
    return widths + remainders - apart
