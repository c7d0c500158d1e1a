"""What priors and likelihoods are given, held to what they need."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from .._model.tree import flatten_named, is_parameter
from .._parameter import AbstractParameter
from .._parameter.convert import as_float_array, check_values


def as_positive(name: str, value: Any) -> Float[Array, "..."]:
    """Convert positive numbers to a float array.

    Values that only a compiled function knows may be zero, to which an exponential
    underflows, NaN or infinite: one draw of many that came to nothing does not stop the
    others.

    Raises:
        ValueError: If an entry is not positive and finite (under a JAX transformation,
            a `RuntimeError` if one is negative).
    """
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
        if isinstance(value, Tracer):
            got, is_bad = "a negative number", jnp.any(value < 0)
        else:
            got, is_bad = f"{value}", ~jnp.all((value > 0) & jnp.isfinite(value))
    return check_values(value, is_bad, f"`{name}` must be positive, but got {got}.")


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
    name: str, given: Any, learnt: Any
) -> tuple[Array | None, AbstractParameter | None]:
    """Hold a width to one of its two forms."""
    if (given is None) == (learnt is None):
        raise ValueError(
            f"Give `{name}` as a number or `log_{name}` as a parameter, one of the two."
        )
    if given is not None:
        return as_positive(name, given), None
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
            "`laplace(log_density, mode.model)`, where `mode` is that estimate."
        )
    if not can_be_drawn(start):
        raise TypeError(
            f"`{name}` must be a model with parameters or a posterior, but is a "
            f"{type(start).__name__} and has no parameters."
        )
