"""What keeps a density finite, and a draw inside its support."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._check import as_float_array
from .._compute import symmetric_uniform
from .base import Given


def as_finite(name: str, value: Any) -> Any:
    """Convert finite numbers to a float array; or what follows from a model.

    A `ValueError` names an entry that is known and not finite. Of those that only a
    compiled function knows, the density is zero.
    """
    if callable(value):
        return Given(name, value)
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
    if not isinstance(value, Tracer) and not np.all(np.isfinite(value)):
        raise ValueError(f"`{name}` must be finite, but got {value}.")
    return value


def check_ends(low: Any, high: Any) -> None:
    """Raise a `ValueError` if two ends are known and not one below the other."""
    if any(isinstance(end, Tracer | Given) for end in (low, high)):
        return
    if not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError(f"`low` must be below `high`, but got {low} and {high}.")


def guarded(
    possible: Bool[Array, "*shape"],
    log_density: Callable[..., Float[Array, "*shape"]],
    *entries: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`log_density(*entries)`, and minus infinity where it is not possible.

    There all gradients are zero: entries become 1/2, where the density must be finite,
    before they meet a logarithm. What is not finite is never possible.
    """
    for entry in entries:
        possible = possible & jnp.isfinite(entry)
    entries = tuple(jnp.where(possible, entry, 0.5) for entry in entries)
    return jnp.where(possible, log_density(*entries), -jnp.inf)


def guarded_by_size(
    is_large: Bool[Array, "*shape"],
    possible: Bool[Array, "*shape"],
    of_large: Callable[..., Float[Array, "*shape"]],
    of_small: Callable[..., Float[Array, "*shape"]],
    *entries: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`guarded`, by one formula where `is_large` and by another elsewhere."""
    large = guarded(possible & is_large, of_large, *entries)
    small = guarded(possible & ~is_large, of_small, *entries)
    return jnp.where(is_large, large, small)


def representable(draw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The nearest number to a draw that is finite and not zero.

    A factor of eight is left for its inverse and the rounding of a logarithm.
    """
    info = jnp.finfo(draw.dtype)
    size = jnp.clip(jnp.abs(draw), 8 * info.tiny, info.max / 8)
    return jnp.where(jnp.signbit(draw), -size, size)


def shares(key: PRNGKeyArray, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw uniform numbers so far inside of 0 and 1 that they survive a logit."""
    uniform = (1 + symmetric_uniform(key, value.shape, value.dtype)) / 2
    margin = 2 * jnp.finfo(value.dtype).eps
    return jnp.clip(uniform, margin, 1 - margin)


def between(
    draw: Float[Array, "*shape"],
    low: Float[Array, "*shape"],
    high: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The draw inside the ends, to which rounding may have carried it."""
    low, high = lax.stop_gradient((low, high))
    return jnp.clip(draw, jnp.nextafter(low, high), jnp.nextafter(high, low))


def log_one_plus_square(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logarithm of `1 + z**2`, also where the square overflows."""
    is_far = jnp.abs(z) > 1e9  # and 1 is a rounding error of the square
    near, far = jnp.where(is_far, 0, z), jnp.where(is_far, jnp.abs(z), 1)
    return jnp.where(is_far, 2 * jnp.log(far), jnp.log1p(near * near))


def normal_density(
    value: Float[Array, "*shape"],
    mean: Float[Array, "*shape"],
    sd: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The log density of normal variates; unlike JAX's, `sd**2` may underflow."""
    z = (value - mean) / sd
    return -z * z / 2 - jnp.log(sd) - math.log(2 * math.pi) / 2


def has_end(
    distance: Float[Array, "*shape"], concentration: Float[Array, "*shape"]
) -> Bool[Array, "*shape"]:
    """Whether an entry is inside of an end, or at one of a finite density above 0.

    The density goes as `distance**(concentration - 1)` with the distance from the end.
    """
    return (distance > 0) | ((distance == 0) & (concentration == 1))


def log_power(
    x: Float[Array, "*shape"],
    exponent: Float[Array, "*shape"],
    log: Callable[[Array], Array] = jnp.log,
    zero: int = 0,
) -> Float[Array, "*shape"]:
    """`exponent * log(x)`, and 0 with gradients of zero where `x` is `zero`."""
    inside = x != zero
    return jnp.where(inside, exponent, 0) * log(jnp.where(inside, x, 0.5))
