"""A simulation, made linear."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._check import is_float_array
from .._compute import full_precision
from .._model import free_means, replace_free_means


class Tangent(eqx.Module):
    """What a simulation returns, to first order around a model.

    The derivatives are taken once; each call is a product with them.

    Attributes:
        value: What the simulation returns for the model.
        slopes: Its derivatives, where it has float arrays: each with a leading axis of
            the model's entries.
        centre: The entries of the model, of shape `(d,)`.
        simulate: The simulation.
        model: The model.
    """

    value: PyTree
    slopes: PyTree
    centre: Float[Array, " d"]
    simulate: Any
    model: PyTree

    @classmethod
    def of(cls, simulate: Any, model: PyTree) -> "Tangent":
        """The tangent at the means of a model."""
        value, slopes = _value_and_slopes(simulate, model)
        return cls(value, slopes, free_means(model), simulate, model)

    def __call__(self, drawn: PyTree) -> PyTree:
        away = free_means(drawn) - self.centre
        moving, rest = eqx.partition(self.value, is_float_array)
        moved = jax.tree.map(
            lambda value, slope: value + jnp.tensordot(away, slope, 1),
            moving,
            self.slopes,
        )
        return eqx.combine(moved, rest)

    def at(self, ts: Any) -> "Tangent":
        """The tangent of the same simulation at other times."""
        return Tangent.of(self.simulate.at(ts), self.model)


@eqx.filter_jit
@full_precision
def _value_and_slopes(simulate: Any, model: PyTree) -> tuple[PyTree, PyTree]:
    def at(vector):
        return eqx.filter(simulate(replace_free_means(model, vector)), is_float_array)

    centre = free_means(model)
    try:
        slopes = jax.jacfwd(at)(centre)
    except (TypeError, ValueError):  # a solve that allows reverse mode alone
        slopes = jax.jacrev(at)(centre)
    leading = jax.tree.map(lambda slope: jnp.moveaxis(slope, -1, 0), slopes)
    return simulate(model), leading
