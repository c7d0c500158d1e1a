"""Checks of the arguments of every engine."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._model import AbstractEstimate, flatten_named
from .._parameter import is_parameter


def check_engine_arguments(
    log_density: Any, start: Any, name: str = "start", *, takes_posteriors: bool = True
) -> None:
    """Hold the first two arguments of an engine to what they must be.

    Raises:
        TypeError: If they are swapped, `log_density` cannot be called, or `start` is a
            `MAPEstimate` or has no parameters, or a posterior where a model is asked
            for; with the remedy.
    """
    from .map_estimate import MAPEstimate  # which imports this file

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
    if not takes_posteriors and isinstance(start, AbstractEstimate):
        raise TypeError(
            f"`{name}` must be a model with parameters, but is a "
            f"{type(start).__name__}. Pass its `model`, or a model drawn from it."
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


def can_be_drawn(argument: Any) -> bool:
    """Whether it is a posterior, a fit or a model with parameters."""
    is_posterior = isinstance(argument, AbstractEstimate)
    nodes = [node for _, node in flatten_named(argument)[0]]
    return is_posterior or any(map(is_parameter, nodes))


def check_order(posterior: Any, log_likelihood: Any) -> None:
    """Hold the first two arguments of `elbo` to what they must be.

    Raises:
        TypeError: If they are swapped, or `log_likelihood` cannot be called.
    """
    if can_be_drawn(log_likelihood) and not can_be_drawn(posterior):
        raise TypeError(
            "`posterior` and `log_likelihood` seem to be swapped: the first is a "
            f"{type(posterior).__name__}, which has no parameters, and the second a "
            f"{type(log_likelihood).__name__}. Pass the posterior first."
        )
    if not callable(log_likelihood):
        raise TypeError(
            "`log_likelihood` must be a function from a drawn model to one number, but "
            f"is a {type(log_likelihood).__name__}."
        )


def as_scalar(name: str, value: Any) -> Float[Array, ""]:
    """What a function of a drawn model returned, held to one real number.

    Raises:
        ValueError: If it is anything else.
    """
    value = jnp.asarray(value)
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(
            f"`{name}` must return one real number for a drawn model, but returned "
            f"shape {value.shape} and dtype {value.dtype}. Sum over data and "
            "parameters."
        )
    return value
