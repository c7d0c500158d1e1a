"""Numbers of a prior that are functions of other parameters."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax.extend.core import Var
from jaxtyping import Array, Float, PyTree

from .. import _check
from .._check import as_float_array


class Given(eqx.Module):
    """A number of a prior that follows from the model that it is the prior of.

    Attributes:
        name: Of the field.
        function: From a drawn model to the number.
    """

    name: str = eqx.field(static=True)
    function: Callable

    def of(self, model: PyTree) -> Float[Array, "..."]:
        """The number for a drawn model."""
        return as_float_array(self.function(model), self.name)


def is_given(node: Any) -> bool:
    """Whether a node of a prior is such a number."""
    return isinstance(node, Given)


def as_float(name: str, value: Any) -> Any:
    """A float array, or what follows from a model."""
    return Given(name, value) if callable(value) else as_float_array(value, name)


def as_positive(name: str, value: Any) -> Any:
    """Positive numbers, or what follows from a model.

    Raises:
        ValueError: If an entry is known not to be positive.
    """
    return Given(name, value) if callable(value) else _check.as_positive(name, value)


def used_of(function: Callable, inputs: dict[str, Array]) -> set[str]:
    """The names of the inputs that what a function returns may depend on.

    Args:
        function: Of the inputs in the order of their names.
        inputs: Arrays by name.
    """
    names = sorted(inputs)
    jaxpr = jax.make_jaxpr(function)(*(inputs[name] for name in names)).jaxpr
    needed = set(filter(_is_variable, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(filter(_is_variable, equation.invars))
    pairs = zip(names, jaxpr.invars, strict=True)
    return {name for name, variable in pairs if variable in needed}


def _is_variable(atom: Any) -> bool:
    return isinstance(atom, Var)
