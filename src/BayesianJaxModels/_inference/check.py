"""What priors and likelihoods are given, held to what they need."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .._model.tree import flatten_named, is_parameter
from .._parameter import AbstractParameter
from .._parameter.convert import as_float_array

OF_A_COVARIANCE = (
    "A covariance between observables belongs in "
    "`MultivariateNormalLikelihood.from_covariance`."
)


def are_positive(values: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Entry by entry, whether a width is one: positive and finite, and no NaN."""
    return (values > 0) & jnp.isfinite(values)


def as_positive(
    name: str, value: Any, may_be_infinite: bool = False
) -> Float[Array, "..."]:
    """Convert positive numbers to a float array.

    Values that only a compiled function knows may be anything: one draw of many that is
    negative, zero, NaN or infinite must not stop the others. A density asks
    `are_positive` of what it was given, and is minus infinity where that says no.

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


def as_noise(
    name: str, value: Any, may_be_infinite: bool = False
) -> Float[Array, "..."]:
    """Convert a number as `as_positive` does, or one for each entry of an observation.

    Entries of an array may be zero, NaN or infinite, as where nothing was measured:
    only a mask says whether they count, and `check_noise` judges those that do.

    Raises:
        ValueError: If an entry is known to be negative, or all to be of no use.
    """
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
    if isinstance(value, Tracer) or value.ndim == 0:
        return as_positive(name, value, may_be_infinite)
    known = np.asarray(value)
    looks_symmetric = (
        known.ndim == 2 and len(known) > 1 and np.array_equal(known, known.T)
    )
    if np.any(known < 0) or not np.any(known > 0):
        advice = f" {OF_A_COVARIANCE}" if looks_symmetric else ""
        raise ValueError(f"`{name}` must be positive, but got {value}.{advice}")
    if looks_symmetric and _is_covariance(known):
        warnings.warn(
            f"`{name}` has shape {known.shape} and is symmetric and positive definite, "
            "as a covariance is, but its entries are taken for what they are called, "
            f"one for each entry of the observation. {OF_A_COVARIANCE}",
            stacklevel=6,  # the line that makes the likelihood, past Equinox's own
        )
    return value


def check_noise(
    noise: dict[str, Float[Array, "*shape"]], counts: Bool[Array, "*shape"]
) -> None:
    """Hold the noise to what it must be, where that is known and the entry counts.

    Raises:
        ValueError: With the name, and with the first such entry.
    """
    for name, widths in noise.items():
        is_bad = counts & ~are_positive(widths)
        if isinstance(is_bad, Tracer) or not np.any(is_bad):
            continue
        at = tuple(np.argwhere(is_bad)[0].tolist())
        raise ValueError(
            f"`{name}` must be positive and finite wherever the observation counts, "
            f"but is {widths[at]} at {at}. Leave out with `mask` what was not measured."
        )


def like(value: Float[Array, "..."], **fields: Array) -> list[Float[Array, "..."]]:
    """The fields in the shape and dtype of `value`.

    Raises:
        ValueError: If a field does not broadcast to the shape; with its name.
    """
    for name, field in fields.items():
        ends = value.shape[value.ndim - field.ndim :]
        fits = field.ndim <= value.ndim and all(
            size in (1, end) for size, end in zip(field.shape, ends, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`{name}` has shape {field.shape}, which does not broadcast to "
                f"{value.shape}, the shape of the entries that it belongs to."
            )
    return [
        jnp.broadcast_to(field.astype(value.dtype), value.shape)
        for field in fields.values()
    ]


def given_or_learnt(
    name: str, given: Any, learnt: Any, may_be_infinite: bool = False
) -> tuple[Array | None, AbstractParameter | None]:
    """Hold a width to one of its two forms."""
    if (given is None) == (learnt is None):
        raise ValueError(
            f"Give `{name}` as a number or `log_{name}` as a parameter, one of the two."
        )
    if given is not None:
        return as_noise(name, given, may_be_infinite), None
    if not isinstance(learnt, AbstractParameter):
        raise TypeError(
            f"`log_{name}` must be a parameter, as `make_parameter` makes one, but got "
            f"{learnt!r}. A width that is no parameter is `{name}`."
        )
    return None, learnt


def width_of(given: Array | None, learnt: AbstractParameter | None) -> Array:
    """The number that a width of either form stands for."""
    if learnt is not None:
        return jnp.exp(learnt.mean)
    assert given is not None
    return given


def check_engine_arguments(log_density: Any, start: Any, name: str = "start") -> None:
    """Hold the first two arguments of an engine to what they must be.

    Args:
        log_density: What stands in the place of the log density.
        start: What stands in the place of the model or posterior.
        name: What the engine calls that.

    Raises:
        TypeError: If they are swapped, `log_density` cannot be called, or `start` is a
            `MAPEstimate` or has no parameters; with the remedy.
    """
    # Both import this file.
    from .map_estimate import MAPEstimate
    from .posterior import AbstractPosterior

    def can_be_drawn(argument):
        is_posterior = isinstance(argument, AbstractPosterior | MAPEstimate)
        nodes = [node for _, node in flatten_named(argument)[0]]
        return is_posterior or any(map(is_parameter, nodes))

    if not can_be_drawn(start) and can_be_drawn(log_density):
        raise TypeError(
            f"`log_density` and `{name}` seem to be swapped: the first is a "
            f"{type(log_density).__name__}, and the second, a {type(start).__name__}, "
            f"has no parameters. Pass the log density first and `{name}` second."
        )
    if not callable(log_density):
        raise TypeError(
            "`log_density` must be a function from a drawn model to one number, but "
            f"is a {type(log_density).__name__}."
        )
    if isinstance(start, MAPEstimate):
        raise TypeError(
            f"`{name}` is a MAPEstimate, a point without widths. Pass "
            "`laplace(log_density, mode)`, where `mode` is that estimate."
        )
    if not can_be_drawn(start):
        raise TypeError(
            f"`{name}` must be a model with parameters or a posterior, but is a "
            f"{type(start).__name__} and has no parameters."
        )


def as_good_as_infinite(width: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The width, or where it is larger, one beyond which the limit is exact."""
    return jnp.minimum(width, jnp.finfo(width.dtype).eps ** -2)


def _is_covariance(matrix: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
