"""Functions that stay exact where a difference of large numbers, or a tail, would not.

Each has gradients that are finite, and right in single precision too.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from .normal_tail import log_hazard

# Stirling's series, from the last coefficient on: 5.11.1 of the NIST Digital Library of
# Mathematical Functions. From 8 on its error is below 1e-15.
STIRLING_FROM = 8
STIRLING = (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
HALF_LOG_2_PI = 0.5 * np.log(2 * np.pi).item()
# Nodes of the double exponential rule for decaying functions: Takahasi and Mori (1974),
# Publ. RIMS 9. Twice as many change nothing in double precision.
_STEPS, _STEP = np.linspace(-3.7, 5, 64, retstep=True)
NODES = np.exp(_STEPS - np.exp(-_STEPS))
LOG_WEIGHTS = np.log(NODES * (1 + np.exp(-_STEPS)) * _STEP)


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


def log_ndtr(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The log of the normal distribution function.

    The gradient of JAX's is `exp` of a difference, which far out is noise in single
    precision.
    """
    is_upper = z > 0
    x = jnp.where(is_upper, 0, -z)
    lower = -(x**2) / 2 - HALF_LOG_2_PI - log_hazard(x)
    upper = lax.erfc(jnp.where(is_upper, z, 0) / 2**0.5) / 2
    return jnp.where(is_upper, jnp.log1p(-upper), lower)


def student_t_log_density(
    z: Float[Array, "*shape"], df: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The log density of Student's t; normal as `df` grows, in any precision."""
    return _log_height(df) - (df + 1) / 2 * _log1p_of_square(z / jnp.sqrt(df))


def student_t_log_survival(
    z: Float[Array, "*shape"], df: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The log probability that Student's t exceeds `z`.

    An incomplete beta function underflows in the tails, and JAX has none that can be
    differentiated by `df`. With `t = sqrt(df) sinh(v)` the density is proportional to
    `cosh(v) ** -df`; what the tail has beyond its first point is integrated.
    """
    is_upper = z >= 0
    tail = _log_upper_tail(jnp.where(is_upper, z, -z), df)
    return jnp.where(is_upper, tail, jnp.log1p(-jnp.exp(tail)))


def _log_upper_tail(z: Array, df: Array) -> Array:
    root = jnp.sqrt(df)
    sinh = z / root
    tanh = sinh * jnp.exp(-_log1p_of_square(sinh) / 2)
    width = 1 / (root * tanh + jnp.minimum(root, 1))
    nodes = jnp.asarray(NODES, z.dtype)
    v = nodes * (width / root)[..., None]
    tanh, log_weights = tanh[..., None], jnp.asarray(LOG_WEIGHTS, z.dtype)
    # log(cosh(v) + tanh * sinh(v)), in a form without cancelling and overflow each.
    is_short = v < 1
    short, long = jnp.where(is_short, v, 1), jnp.where(is_short, 1, v)
    short = jnp.log1p(2 * jnp.sinh(short / 2) ** 2 + tanh * jnp.sinh(short))
    long = long + jnp.log((1 + tanh + (1 - tanh) * jnp.exp(-2 * long)) / 2)
    decay = df[..., None] * jnp.where(is_short, short, long)
    beyond = logsumexp(log_weights - decay, axis=-1) + jnp.log(width)
    return _log_height(df) - df / 2 * _log1p_of_square(sinh) + beyond


def _log_height(df: Array) -> Array:
    """The log density of Student's t at 0."""
    half = df / 2
    gammas = half * jnp.log1p(0.5 / half) - 0.5
    remainders = stirling_remainder(half + 0.5) - stirling_remainder(half)
    return gammas + remainders - HALF_LOG_2_PI


def _log1p_of_square(x: Array) -> Array:
    """`log(1 + x**2)`, where the square may overflow."""
    is_small = jnp.abs(x) < 1
    small, large = jnp.where(is_small, x, 0), jnp.where(is_small, 1, jnp.abs(x))
    large = 2 * jnp.log(large) + jnp.log1p((1 / large) ** 2)
    return jnp.where(is_small, jnp.log1p(small**2), large)
