"""The tail of the normal distribution, measured from a point in it.

Everything is of distances `t` from a point `a >= 0`, where the density falls as
`exp(-a * t - t**2 / 2)`. Probabilities underflow far out in the tail, and their
differences cancel in a narrow window; what is here does neither.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# Beyond, 20 terms of Laplace's continued fraction (7.9.3 of the NIST Digital Library of
# Mathematical Functions) are exact in double precision.
FAR, NUM_TERMS = 5, 20
# Gauss and Legendre's rule on (0, 1).
NODES, WEIGHTS = np.polynomial.legendre.leggauss(10)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
# Newton's steps; three or four reach double precision.
NUM_STEPS = 6


@jax.custom_jvp
def _excess(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """By how much the hazard is above `x`, for `x >= 0`."""
    is_far = x > FAR
    near, far = jnp.where(is_far, 1, x), jnp.where(is_far, x, FAR)
    hazard = (
        math.sqrt(2 / math.pi) * jnp.exp(-near * near / 2) / lax.erfc(near / 2**0.5)
    )
    # A loop: written out, it took longer to compile than all else in a prior's draw.
    fraction = lax.fori_loop(
        0,
        NUM_TERMS - 1,
        lambda i, fraction: far + (NUM_TERMS - i).astype(far.dtype) / fraction,
        far,
    )
    return jnp.where(is_far, 1 / fraction, hazard - near)


@_excess.defjvp
def _(primals, tangents):
    (x,), (tangent,) = primals, tangents
    excess = _excess(x)
    return excess, ((x + excess) * excess - 1) * tangent


@jax.custom_jvp
def log_hazard(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logarithm of density over upper tail probability, for `x >= 0`."""
    return jnp.log(x + _excess(x))


@log_hazard.defjvp
def _(primals, tangents):
    (x,), (tangent,) = primals, tangents
    return log_hazard(x), _excess(x) * tangent


def cumulative_hazard(
    a: Float[Array, "*shape"], t: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Minus the logarithm of the share of the tail beyond `a` that is beyond `a + t`.

    Args:
        a: At least 0 and finite.
        t: Above 0, or infinite.
    """
    is_short, is_endless = t * jnp.maximum(a, 1) < 1, jnp.isinf(t)
    short = jnp.where(is_short, t, 0)
    long = jnp.where(is_short | is_endless, 1, t)
    s = short[..., None] * NODES.astype(t.dtype)
    mass = jnp.sum(jnp.exp(-s * (a[..., None] + s / 2)) * WEIGHTS.astype(t.dtype), -1)
    at_start = log_hazard(a)
    near = -jnp.log1p(-jnp.exp(at_start) * short * mass)
    far = long * (a + long / 2) + log_hazard(a + long) - at_start
    return jnp.where(is_short, near, jnp.where(is_endless, jnp.inf, far))


def log_mass(
    a: Float[Array, "*shape"], width: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The logarithm of the integral of `exp(-a * t - t**2 / 2)` up to `width`.

    Args:
        a: At least 0 and finite.
        width: Above 0, or infinite.
    """
    return jnp.log(-jnp.expm1(-cumulative_hazard(a, width))) - log_hazard(a)


def quantile(
    share: Float[Array, "*shape"],
    a: Float[Array, "*shape"],
    width: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The distance from `a` below which a share of the mass up to `width` lies.

    Args:
        share: Between 0 and 1, the ends excluded.
        a: At least 0 and finite.
        width: Above 0, or infinite.
    """
    target = -jnp.log1p(share * jnp.expm1(-cumulative_hazard(a, width)))
    # The hazard grows, so that both are too far, and from there Newton's steps on the
    # convex cumulative hazard come down to the solution.
    log_slope, root = log_hazard(a), jnp.sqrt(a * a + 2 * target)
    start = jnp.minimum(target * jnp.exp(-log_slope), 2 * target / (a + root))

    def closer(t, a, target):
        missing = cumulative_hazard(a, t) - target
        return t - missing * jnp.exp(-log_hazard(lax.stop_gradient(a + t)))

    fixed_a, fixed_target = lax.stop_gradient((a, target))
    t = lax.fori_loop(
        0,
        NUM_STEPS,
        lambda _, t: closer(t, fixed_a, fixed_target),
        lax.stop_gradient(start),
    )
    # The last step carries the derivatives, those of an implicit function.
    return closer(t, a, target)
