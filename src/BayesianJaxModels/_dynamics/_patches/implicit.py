"""Finite tangents of a vector field, for the linear systems of implicit methods.

One NaN in the linear system of a step raises for the whole batch on the way back
(https://github.com/patrick-kidger/diffrax/issues/368 and
https://github.com/patrick-kidger/lineax/issues/82). Seen in diffrax 0.7.2 with Lineax
0.1.1. It can go when its test passes without it: when a linear solve with `throw=False`
passes a result, and no error, through its derivatives.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from ..._check import is_float_array
from ..._gradient import all_finite


@eqx.filter_custom_jvp
def call_with_finite_tangents(
    vector_field: Callable, t: Array, y: PyTree, args: Any
) -> PyTree:
    """The vector field, with zero tangents where it or a derivative is not finite.

    Such a draw fails anyway, and its value says so.
    """
    return vector_field(t, y, args)


@call_with_finite_tangents.def_jvp
def _(primals, tangents):
    value, slope = eqx.filter_jvp(_call, primals, _ones(primals))
    good = lax.stop_gradient(all_finite((value, slope)))
    # Derivatives are those at a harmless place, as zero times infinity is NaN on the
    # way back. Arguments keep what is finite: the knots of a curve have to increase.
    vector_field, t, y, args = primals
    vector_field, y = (
        _map_floats(lambda x: jnp.where(good, x, 1), tree) for tree in (vector_field, y)
    )
    t, args = (
        _map_floats(lambda x: jnp.where(jnp.isfinite(x), x, 1), tree)
        for tree in (t, args)
    )
    _, slope = eqx.filter_jvp(_call, (vector_field, t, y, args), tangents)
    return value, _map_floats(lambda x: jnp.where(good, x, 0), slope)


def _call(vector_field, t, y, args):
    return vector_field(t, y, args)


def _ones(tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda leaf: jnp.ones_like(leaf) if is_float_array(leaf) else None, tree
    )


def _map_floats(function: Callable, tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda leaf: function(leaf) if is_float_array(leaf) else leaf, tree
    )
