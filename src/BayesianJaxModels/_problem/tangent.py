"""A simulation, made linear."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._check import check_shape
from .._compute import full_precision
from .._dynamics import Trajectory
from .._model import free_means, has_values, replace_free_means
from .times import at_times, times_of


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
        """The tangent at the means of a model.

        Raises:
            ValueError: If a solve fails there.
        """
        value, slopes, centre = slopes_of(simulate, model)
        if has_values(value):
            for part in jax.tree.leaves(value, is_leaf=_is_solve):
                if _is_solve(part) and not np.all(part.succeeded):
                    raise ValueError(
                        "The solve fails at the means of `model`, so that it has no "
                        "tangent there. Take a mode, as `map_estimate` finds one."
                    )
        return cls(value, slopes, centre, simulate, model)

    def __call__(self, drawn: PyTree) -> PyTree:
        entries = free_means(drawn)
        check_shape("drawn", entries, self.centre.shape)
        away = entries - self.centre
        moving, rest = eqx.partition(self.value, eqx.is_inexact_array)
        moved = jax.tree.map(
            lambda value, slope: (
                value
                + jnp.tensordot(away.astype(slope.dtype), slope, 1, precision="highest")
            ),
            moving,
            self.slopes,
        )
        return eqx.combine(moved, rest)

    @property
    def ts(self) -> Any:
        """The times of the simulation, or `None`."""
        return times_of(self.simulate)

    def at(self, ts: Any) -> "Tangent":
        """The tangent of the same simulation at other times."""
        return Tangent.of(at_times(self.simulate, ts), self.model)


def slopes_of(simulate: Any, model: PyTree) -> tuple[PyTree, PyTree, Array]:
    """What a simulation returns for a model, its derivatives, and the entries there."""
    return *_value_and_slopes(simulate, model), free_means(model)


def _is_solve(node: Any) -> bool:
    return isinstance(node, Trajectory)


@eqx.filter_jit
@full_precision
def _value_and_slopes(simulate: Any, model: PyTree) -> tuple[PyTree, PyTree]:
    def at(vector):
        states = simulate(replace_free_means(model, vector))
        return eqx.filter(states, eqx.is_inexact_array)

    centre = free_means(model)
    try:
        slopes = jax.jacfwd(at)(centre)
    except (TypeError, ValueError):  # a solve that allows reverse mode alone
        slopes = jax.jacrev(at)(centre)
    leading = jax.tree.map(lambda slope: jnp.moveaxis(slope, -1, 0), slopes)
    return simulate(model), leading
