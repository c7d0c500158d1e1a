"""The normal tail, where probabilities underflow and their differences cancel."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .stirling import HALF_LOG_2_PI

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
    excess = _excess(x)
    return jnp.log(x + excess), excess * tangent


class Stretch(NamedTuple):
    """What is between two points of a tail.

    Attributes:
        hazard: The cumulative hazard, `-log(1 - share)`.
        share: How much of the tail beyond the first point is before the second. Over
            the hazard at the first it is the integral of `exp(-a * t - t**2 / 2)`.
        log_start: The logarithm of the hazard at the first point.
        log_end: That at the second, meaningless where it is infinite.
    """

    hazard: Float[Array, "*shape"]
    share: Float[Array, "*shape"]
    log_start: Float[Array, "*shape"]
    log_end: Float[Array, "*shape"]


def stretch(a: Float[Array, "*shape"], t: Float[Array, "*shape"]) -> Stretch:
    """What is between a finite `a >= 0` and `a + t`, where `t > 0` may be infinite."""
    is_short, is_endless = t * jnp.maximum(a, 1) < 1, jnp.isinf(t)
    short, end = jnp.where(is_short, t, 0), jnp.where(is_endless, 1, t)
    # One call for both: XLA compiles what is called twice twice.
    log_start, log_end = log_hazard(jnp.stack([a, a + end]))
    s = short[..., None] * NODES.astype(t.dtype)
    mass = jnp.sum(jnp.exp(-s * (a[..., None] + s / 2)) * WEIGHTS.astype(t.dtype), -1)
    near = jnp.exp(log_start) * short * mass
    long = jnp.where(is_short, 1, end)
    far = long * (a + long / 2) + jnp.where(is_short, 0, log_end) - log_start
    far = jnp.where(is_endless, jnp.inf, far)
    hazard = jnp.where(is_short, -jnp.log1p(-near), far)
    share = jnp.where(is_short, near, -jnp.expm1(-far))
    return Stretch(hazard, share, log_start, log_end)


def quantile(
    share: Float[Array, "*shape"],
    a: Float[Array, "*shape"],
    width: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The distance from `a` below which a share of the mass up to `width` lies.

    The share is between 0 and 1, the ends excluded; `a` and `width` as in `stretch`.
    """
    whole = stretch(a, width)
    target = -jnp.log1p(-share * whole.share)
    # The hazard grows, so that both are too far, and from there Newton's steps on the
    # convex cumulative hazard come down to the solution.
    root = jnp.sqrt(a * a + 2 * target)
    start = jnp.minimum(target * jnp.exp(-whole.log_start), 2 * target / (a + root))

    # At the solution a step does not depend on where it began, so the last one carries
    # the derivatives, those of an implicit function.
    def closer(_, t):
        so_far = stretch(a, t)
        slope = jnp.exp(-lax.stop_gradient(so_far.log_end))
        return t - (so_far.hazard - target) * slope

    return lax.fori_loop(0, NUM_STEPS, closer, lax.stop_gradient(start))


def log_ndtr(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The log of the normal distribution function, with an exact gradient far out."""
    is_upper = z > 0
    x = jnp.where(is_upper, 0, -z)
    lower = -(x**2) / 2 - HALF_LOG_2_PI - log_hazard(x)
    upper = lax.erfc(jnp.where(is_upper, z, 0) / 2**0.5) / 2
    return jnp.where(is_upper, jnp.log1p(-upper), lower)
