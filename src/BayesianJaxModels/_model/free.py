"""The entries that engines infer: all but what is known and what is frozen."""

from typing import Any

from jaxtyping import Array, Float, PyTree

from .._check import check_shape
from .._parameter import AbstractParameter
from .introspect import get_parameters
from .tree import Model, common_dtype, map_parameters, ravel_all, replace_mean


def free_means(model: PyTree) -> Float[Array, " d"]:
    """The means of all parameters that are not known, as one vector.

    As `flatten_means`, without what is known (`DeterministicParameter`). The other half
    of a partition, whose means are `None`, has no entries in either.
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
    check_shape("vector", vector, (sum(p.mean.size for p in _free(model)),))
    end = 0

    def take(index: int, parameter: AbstractParameter) -> AbstractParameter:
        nonlocal end
        if parameter.is_known:
            return parameter
        start, end = end, end + parameter.mean.size
        mean = vector[start:end].reshape(parameter.shape)
        return replace_mean(parameter, mean.astype(parameter.mean.dtype))

    return map_parameters(take, model)


def free_columns(model: PyTree) -> list[bool]:
    """Which entries of `flatten_means` are those of `free_means`."""
    parameters = get_parameters(model).values()
    return [not p.is_known for p in parameters for _ in range(p.mean.size)]


def _free(model: PyTree) -> list[AbstractParameter]:
    return [p for p in get_parameters(model).values() if not p.is_known]
