"""What keeps a density finite, and a draw inside its support."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._check import as_float_array
from .._compute import symmetric_uniform


def as_finite(name: str, value: Any) -> Float[Array, "..."]:
    """Convert finite numbers to a float array.

    Values that only a compiled function knows may be anything: a density of them that
    are not finite is zero.

    Raises:
        ValueError: If an entry is known and not finite.
    """
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
        if not isinstance(value, Tracer) and not jnp.all(jnp.isfinite(value)):
            raise ValueError(f"`{name}` must be finite, but got {value}.")
    return value


def check_ends(low: Float[Array, "..."], high: Float[Array, "..."]) -> None:
    """Raise a `ValueError` if two ends are known and not one below the other."""
    with jax.ensure_compile_time_eval():
        in_order = jnp.all(low < high)
        if not isinstance(in_order, Tracer) and not in_order:
            raise ValueError(f"`low` must be below `high`, but got {low} and {high}.")


def guarded(
    possible: Bool[Array, "*shape"],
    log_density: Callable[..., Float[Array, "*shape"]],
    *entries: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`log_density(*entries)`, and minus infinity where it is not possible.

    There all gradients are zero: entries are replaced before they meet a logarithm,
    and what is not finite is never possible.

    Args:
        possible: Whether value and fields are inside their supports.
        log_density: Of the value and the fields, finite where all of them are 1/2.
        entries: The value and the fields.
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
    """The nearest number to a draw that has a finite logarithm, there and back.

    A draw that overflows becomes the greatest number, and one that underflows the
    smallest, both with a factor of eight to spare for its inverse and the rounding of
    a logarithm.
    """
    info = jnp.finfo(draw.dtype)
    size = jnp.clip(jnp.abs(draw), 8 * info.tiny, info.max / 8)
    return jnp.where(jnp.signbit(draw), -size, size)


def shares(key: PRNGKeyArray, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw uniform numbers between 0 and 1, by more than a rounding error.

    So that a logit of what is made from them comes back as what it was.
    """
    uniform = (1 + symmetric_uniform(key, value.shape, value.dtype)) / 2
    margin = 2 * jnp.finfo(value.dtype).eps
    return jnp.clip(uniform, margin, 1 - margin)


def between(
    draw: Float[Array, "*shape"],
    low: Float[Array, "*shape"],
    high: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """The draw, which rounding may have carried to an end or beyond it, inside."""
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
    """The log density of normal numbers; unlike JAX's, `sd**2` may underflow."""
    z = (value - mean) / sd
    return -z * z / 2 - jnp.log(sd) - math.log(2 * math.pi) / 2


def has_end(
    distance: Float[Array, "*shape"], concentration: Float[Array, "*shape"]
) -> Bool[Array, "*shape"]:
    """Whether an entry is inside of an end, or at one where the density is above 0.

    Where the density is infinite there, the end does not count as one.

    Args:
        distance: From the end.
        concentration: The density goes as `distance**(concentration - 1)`.
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
