"""What a wrong argument gets: an error that says what came and what was wanted."""

import sys
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

# Between a user's call and our code there is Equinox's own.
OURS = (__name__.partition(".")[0], "equinox", "jaxtyping")


class AllFailedError(RuntimeError, ValueError):
    """Every draw, solve or search failed, so that there is no result.

    It is a `RuntimeError`, and a `ValueError` for code that catches that.

    Example:
        ```python
        try:
            bjm.calibration.log_predictive_density(np.full((3, 2), np.nan))
        except bjm.AllFailedError:
            print("no draw is finite")
        ```
    """


def home_of(array: Any) -> Any:
    """The module for an array: NumPy's, which compiles nothing, for what it holds."""
    return jnp if isinstance(array, jax.Array) else np


def on_host(array: Any) -> Any:
    """An array in NumPy, if JAX is not tracing it."""
    return array if isinstance(array, Tracer) else np.asarray(array)


def as_jax(array: Any, dtype: Any = None) -> Array:
    """What NumPy holds in JAX, in a dtype that JAX has.

    `jnp.asarray` compiles a program for every shape.
    """
    return jax.device_put(in_own_dtype(np.asarray(array, dtype)))


def in_own_dtype(array: Any) -> Any:
    """An array in the dtype that JAX would give it, or one of JAX as it is."""
    if isinstance(array, jax.Array):
        return array
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def evaluated() -> AbstractContextManager:
    """Evaluate what is known, also where something else is traced.

    Only there: under `jax.ensure_compile_time_eval` each operation is compiled by
    itself.
    """
    is_tracing = isinstance(as_jax(0.0), Tracer)
    return jax.ensure_compile_time_eval() if is_tracing else nullcontext()


def are_positive(values: Any) -> Any:
    """Which entries are positive and finite."""
    return (values > 0) & home_of(values).isfinite(values)


def as_positive(
    name: str, value: Any, may_be_infinite: bool = False
) -> Float[Array, "..."]:
    """Convert positive numbers to a float array.

    Traced values pass: one bad draw of many must not stop the others. A density is
    minus infinity where `are_positive` says no.

    Raises:
        ValueError: If an entry is known not to be positive, or not to be finite.
    """
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
    if isinstance(value, Tracer):
        return value
    known = np.asarray(value)
    if not np.all((known > 0) & (np.isfinite(known) | may_be_infinite)):
        raise ValueError(f"`{name}` must be positive, but got {value}.")
    return value


def like(value: Float[Array, "..."], **fields: Array) -> list[Float[Array, "..."]]:
    """The fields in the shape and dtype of `value`, or a `ValueError`."""
    for name, field in fields.items():
        if not _fits(field.shape, value.shape):
            raise ValueError(
                f"`{name}` has shape {field.shape}, which does not broadcast to "
                f"{value.shape}, the shape of the entries that it belongs to."
            )
    return [
        jnp.broadcast_to(field.astype(value.dtype), value.shape)
        for field in fields.values()
    ]


def warn_user(message: str) -> None:
    """Warn, with the line of the user's own code that led here."""
    level, frame = 1, sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def is_array(leaf: Any) -> bool:
    """Whether `leaf` is a JAX or NumPy array."""
    return isinstance(leaf, jax.Array | np.ndarray)


def is_float_array(leaf: Any) -> bool:
    """Whether `leaf` is a JAX or NumPy array of real floating point numbers."""
    return is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


def as_float_array(value: Any, name: str = "value") -> Float[Array, "..."]:
    """Convert real numbers to a float array; floating point dtypes are kept.

    Integers become floats of JAX's default precision. Anything else is a `TypeError`.
    """
    wanted = f"`{name}` must be a real number or an array of them"
    if value is None:
        raise TypeError(f"{wanted}, but got None.")
    try:
        array = value if isinstance(value, jax.Array) else _in_numpy(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{wanted}, but got {value!r}.") from error
    is_integer = jnp.issubdtype(array.dtype, jnp.integer)
    if not is_integer and not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{wanted}, but got dtype {array.dtype} with shape {array.shape}."
        )
    if isinstance(array, np.ndarray):
        return as_jax(array.astype(float) if is_integer else array)
    # Not weakly typed, as a Python number is: it would be compiled for again.
    return array.astype(float) if is_integer else jnp.asarray(array, array.dtype)


def _in_numpy(value: Any) -> Any:
    """A copy in NumPy, or where something in a list is traced in JAX."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.asarray(value)
    array = np.array(value)
    if array.dtype.kind in "OSU":
        raise TypeError("There are other things than numbers.")
    return array


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
    """Return `array`, or raise a `ValueError` if its values are bad.

    Under a JAX transformation bad values are NaN instead: an error would be a call of
    the host, and JAX keeps no program with one in its persistent cache.
    """
    if isinstance(is_bad, Tracer):
        return jnp.where(is_bad, jnp.nan, array)
    if is_bad:
        raise ValueError(message)
    return array


def check_finite(name: str, array: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return `array`, or do as `check_values` does if it holds NaN or infinity."""
    known = on_host(array)
    is_bad = ~home_of(known).isfinite(known).all()
    return check_values(array, is_bad, f"`{name}` must be finite, but has NaN or inf.")


def check_broadcast(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise a `ValueError` with both shapes unless `array` broadcasts to `shape`."""
    if not _fits(array.shape, shape):
        raise ValueError(
            f"`{name}` has shape {array.shape}, but the value has shape {shape}. Pass "
            "one number, or an array of that shape or one that broadcasts to it."
        )


def matching_width(
    mean: Float[Array, "*shape"], raw_width: Any
) -> Float[Array, "*shape"]:
    """Unconstrained widths in the shape and dtype of `mean`, if they fit it."""
    width = as_float_array(raw_width, "init_raw_stdv")
    check_broadcast("init_raw_stdv", width, mean.shape)
    if isinstance(mean, Tracer) or isinstance(width, Tracer):
        return jnp.full_like(mean, width)
    return as_jax(np.broadcast_to(np.asarray(width), mean.shape), mean.dtype)


def check_key(key: Any, name: str = "key") -> Any:
    """Return one random key of JAX, or raise with what came instead.

    Raises:
        ValueError: If it is `None`, or several keys.
        TypeError: If it is anything else, such as a number.
    """
    make_one = "Make one with `jax.random.key(0)`; another number makes other draws."
    if key is None:
        raise ValueError(f"A key is required, but `{name}` is None. {make_one}")
    if is_array(key) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        num_axes = key.ndim
    elif is_array(key) and key.dtype == jnp.uint32 and key.ndim > 0:
        num_axes = key.ndim - 1  # the two words of a key without a type of its own
    else:
        came = f"{key.dtype}{list(key.shape)}" if is_array(key) else repr(key)
        raise TypeError(f"`{name}` must be a random key of JAX, not {came}. {make_one}")
    if num_axes > 0:
        raise ValueError(
            f"`{name}` must be one random key of JAX, but got an array of them, of "
            f"shape {key.shape}. Take one, or `jax.vmap` over all."
        )
    return key


def check_counts(least: int = 1, **counts: int | None) -> None:
    """Raise a `ValueError` for a number, passed by its name, that is too small."""
    for name, count in counts.items():
        if count is not None and count < least:
            raise ValueError(f"`{name}` must be at least {least}, but got {count}.")


def near_matches(name: str, known: Iterable[str]) -> list[str]:
    """Names that may have been meant, or the first ten there are."""
    known = list(known)
    return get_close_matches(name, known, cutoff=0.4) or known[:10]


def import_extra(module: str, needed_by: str, package: str, extra: str) -> Any:
    """An optional module, or an `ImportError` with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{needed_by} needs {package}, which is not installed. "
            f'`pip install "BayesianJaxModels[{extra}]"` brings it.'
        ) from error


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to another and does not enlarge it."""
    ends = wanted[len(wanted) - len(shape) :]
    return len(shape) <= len(wanted) and all(
        size in (1, end) for size, end in zip(shape, ends, strict=True)
    )
