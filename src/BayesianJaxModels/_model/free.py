"""The entries that engines infer: all but what is known and what is frozen."""

from typing import Any

from jaxtyping import Array, Float, PyTree

from .._parameter import AbstractParameter
from .introspect import get_parameters, place_means
from .tree import Model, common_dtype, ravel_all


def free_means(model: PyTree) -> Float[Array, " d"]:
    """The means of all parameters that are not known, as one vector.

    As `flatten_means`, without what is known (`DeterministicParameter`).
    """
    return ravel_all([parameter.mean for parameter in _free(model)])


def free_dtype(model: PyTree) -> Any:
    """The dtype of `free_means`, of which there must be one, with nothing computed."""
    return common_dtype([parameter.mean for parameter in _free(model)])


def free_stdvs(model: PyTree) -> Float[Array, " d"]:
    """The standard deviations beside `free_means`."""
    return ravel_all([parameter.stdv for parameter in _free(model)])


def replace_free_means(model: Model, vector: Float[Array, " d"]) -> Model:
    """The inverse of `free_means`; what is known stays as it is."""
    return place_means(model, vector, lambda parameter: not parameter.is_known)


def free_columns(model: PyTree) -> list[bool]:
    """Which entries of `flatten_means` are those of `free_means`."""
    parameters = get_parameters(model).values()
    return [not p.is_known for p in parameters for _ in range(p.mean.size)]


def _free(model: PyTree) -> list[AbstractParameter]:
    return [p for p in get_parameters(model).values() if not p.is_known]
