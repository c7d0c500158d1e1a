"""Student's t, exact in its tails, with gradients by its degrees of freedom."""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from .stirling import HALF_LOG_2_PI, stirling_remainder

# Nodes of the double exponential rule for decaying functions: Takahasi and Mori (1974),
# Publ. RIMS 9. Twice as many change nothing in double precision.
_STEPS, _STEP = np.linspace(-3.7, 5, 64, retstep=True)
NODES = np.exp(_STEPS - np.exp(-_STEPS))
LOG_WEIGHTS = np.log(NODES * (1 + np.exp(-_STEPS)) * _STEP)


def student_t_log_density(
    z: Float[Array, "*shape"], df: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The log density of Student's t; normal as `df` grows, in any precision."""
    return _log_height(df) - (df + 1) / 2 * _log1p_of_square(z / jnp.sqrt(df))


def student_t_log_survival(
    z: Float[Array, "*shape"], df: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The log probability that Student's t exceeds `z`.

    With `t = sqrt(df) sinh(v)` the density is proportional to `cosh(v) ** -df`, which
    is integrated. An incomplete beta function underflows, and has no gradient by `df`.
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
