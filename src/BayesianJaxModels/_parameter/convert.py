"""From what a user hands in to a float array, or an error that says what came."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float


def is_float_array(leaf: Any) -> bool:
    """Whether `leaf` is a JAX or NumPy array of real floating point numbers."""
    is_array = isinstance(leaf, jax.Array | np.ndarray)
    return is_array and jnp.issubdtype(leaf.dtype, jnp.floating)


def as_float_array(value: Any, name: str = "value") -> Float[Array, "..."]:
    """Convert real numbers to a float array; floating point dtypes are kept.

    Args:
        value: A real number or an array of them, of any shape. Integers become
            floats of JAX's default precision.
        name: What error messages call the value.

    Raises:
        TypeError: If `value` is anything else (complex, boolean, `None`, text, a
            PRNG key, a ragged list).
    """
    wanted = f"`{name}` must be a real number or an array of them"
    if value is None:
        raise TypeError(f"{wanted}, but got None.")
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, but got {value!r}.") from error
    if jnp.issubdtype(array.dtype, jnp.floating):
        # Not weakly typed, as a Python number is: arithmetic makes it strong, and what
        # was compiled for the one does not serve the other.
        return jnp.asarray(array, array.dtype)
    if jnp.issubdtype(array.dtype, jnp.integer):
        return array.astype(float)
    raise TypeError(f"{wanted}, but got dtype {array.dtype} with shape {array.shape}.")


def check_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` with both shapes unless `array` has the given one."""
    if array.shape != shape:
        raise ValueError(
            f"`{name}` has shape {array.shape}, but {shape} was wanted. "
            "Nothing is broadcast."
        )


def check_width(name: str, width: Any, mean: Any, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` unless a width has the given shape and `mean`'s dtype."""
    check_shape(name, width, shape)
    if width.dtype != mean.dtype:
        raise ValueError(
            f"`{name}` has dtype {width.dtype}, but `mean` has {mean.dtype}. "
            "They must be equal."
        )


def check_values(
    array: Float[Array, "*shape"], is_bad: Bool[ArrayLike, ""], message: str
) -> Float[Array, "*shape"]:
    """Return `array`, or raise if its values are bad.

    Raises:
        ValueError: With `message`.
        RuntimeError: In the place of the `ValueError` under a JAX transformation,
            where values are known only when the compiled function runs.
    """
    if isinstance(is_bad, Tracer):
        return eqx.error_if(array, is_bad, message)
    if is_bad:
        raise ValueError(message)
    return array


def check_finite(name: str, array: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return `array`, or raise as `check_values` does if it holds NaN or infinity."""
    # What JAX would compile, NumPy does at once.
    xp = jnp if isinstance(array, Tracer) else np
    is_bad = ~xp.all(xp.isfinite(array))
    return check_values(array, is_bad, f"`{name}` must be finite, but has NaN or inf.")


def matching_width(
    mean: Float[Array, "*shape"], raw_width: Any
) -> Float[Array, "*shape"]:
    """Fill the shape of `mean` with one unconstrained width.

    Raises:
        TypeError: If `raw_width` is not a real number.
        ValueError: If `raw_width` is an array with axes.
    """
    width = as_float_array(raw_width, "init_raw_stdv")
    if width.shape != ():
        raise ValueError(
            f"`init_raw_stdv` must be one number, but got shape {width.shape}. Set "
            "widths that differ by constructing the parameter with its fields."
        )
    return jnp.full_like(mean, width)
