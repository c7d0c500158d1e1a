"""The noise that a likelihood is given, held to what it needs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from .._check import are_positive, as_float_array, as_positive, warn_user
from .._parameter import AbstractParameter, is_parameter

OF_A_COVARIANCE = (
    "A covariance between observables belongs in "
    "`MultivariateNormalLikelihood.from_covariance`."
)


def as_noise(
    name: str, value: Any, may_be_infinite: bool = False
) -> Float[Array, "..."]:
    """Convert a number as `as_positive` does, or one for each entry of an observation.

    Entries of an array may be zero, NaN or infinite, as where nothing was measured:
    `check_noise` judges those that count. None may be negative, and one must be good.
    """
    with jax.ensure_compile_time_eval():
        value = as_float_array(value, name)
    if isinstance(value, Tracer) or value.ndim == 0:
        return as_positive(name, value, may_be_infinite)
    known = np.asarray(value)
    is_matrix = known.ndim == 2 and len(known) > 1
    looks_symmetric = is_matrix and np.array_equal(known, known.T)
    if np.any(known < 0) or not np.any(known > 0):
        advice = f" {OF_A_COVARIANCE}" if looks_symmetric else ""
        raise ValueError(f"`{name}` must be positive, but got {value}.{advice}")
    if looks_symmetric and _is_covariance(known):
        warn_user(
            f"`{name}` has shape {known.shape} and is symmetric and positive definite, "
            "as a covariance is, but its entries are taken for what they are called, "
            f"one for each entry of the observation. {OF_A_COVARIANCE}"
        )
    return value


def check_noise(
    noise: dict[str, Float[Array, "*shape"]], counts: Bool[Array, "*shape"]
) -> None:
    """Raise a `ValueError` for known noise that counts and is not positive."""
    for name, widths in noise.items():
        is_bad = counts & ~are_positive(widths)
        if isinstance(is_bad, Tracer) or not np.any(is_bad):
            continue
        at = tuple(np.argwhere(is_bad)[0].tolist())
        raise ValueError(
            f"`{name}` must be positive and finite wherever the observation counts, "
            f"but is {widths[at]} at {at}. Leave out with `mask` what was not measured."
        )


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
    if not is_parameter(learnt):
        raise TypeError(
            f"`log_{name}` must be a parameter, as `make_parameter` makes one, but got "
            f"{learnt!r}. A width that is no parameter is `{name}`."
        )
    return None, learnt


def width_of(given: Array | None, learnt: AbstractParameter | None) -> Array:
    """The number that a width of either form stands for."""
    if learnt is not None:
        return jnp.exp(learnt.value)
    assert given is not None
    return given


def as_good_as_infinite(width: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The width, or where it is larger, one beyond which the limit is exact."""
    return jnp.minimum(width, jnp.finfo(width.dtype).eps ** -2)


def _is_covariance(matrix: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
