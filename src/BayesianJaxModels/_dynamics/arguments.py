"""Checks of the arguments of a solve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from .._check import is_array
from .clock import Span


def check_state(y0: PyTree) -> PyTree:
    """The state as arrays of floats, finite where their values are known."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(y0):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"`y0` must consist of floats, but has a leaf of dtype {dtype}. Write "
                "1.0 for 1, or convert with `jnp.asarray(y0, float)`."
            )
        if not isinstance(leaf, Tracer) and not np.all(np.isfinite(leaf)):
            raise ValueError(
                f"`y0{jax.tree_util.keystr(path)}` must be finite, but has NaN or "
                "infinity. No step leads away from there."
            )
    return jax.tree.map(jnp.asarray, y0)


def check_batch(y0: PyTree, span: Span, args: Any, args_axes: PyTree) -> None:
    """Check that everything that is mapped over initial states has one size."""
    sizes = set()

    def add_sizes(axis, tree):
        if axis is not None:
            arrays = jax.tree.leaves(eqx.filter(tree, is_array))
            sizes.update(leaf.shape[axis : axis + 1 or None] for leaf in arrays)
            sizes.update([] if arrays else [()])

    axes, mapped = (0, span.axes, args_axes), (y0, span, args)
    jax.tree.map(add_sizes, axes, mapped, is_leaf=lambda axis: axis is None)
    if len(sizes) != 1 or () in sizes:
        raise ValueError(
            "With `batched=True` every leaf of `y0` needs a leading axis of one size, "
            "and `ts` the same if it has rows, as well as what `args_axes` maps, but "
            f"their axes are {sorted(sizes)}."
        )


@dataclass(frozen=True)
class AxisOfArrays:
    """The axis for `eqx.filter_vmap`, which maps no functions and no Python numbers."""

    axis: int

    def __call__(self, leaf: Any) -> int | None:
        return self.axis if is_array(leaf) else None


def check_derivative(
    vector_field: Callable,
    y0: PyTree,
    span: Span,
    args: Any,
    args_axes: PyTree,
    *,
    batched: bool,
) -> None:
    """Check that the derivative has the structure and shapes of the state."""
    t = jax.ShapeDtypeStruct((), span.elapsed.dtype)
    call = vector_field
    if batched:
        call = eqx.filter_vmap(call, in_axes=(None, 0, args_axes))
    derivative = eqx.filter_eval_shape(call, t, y0, args)
    of_state, of_derivative = (
        jax.tree.map(lambda leaf: jnp.shape(leaf)[int(batched) :], tree)
        for tree in (y0, derivative)
    )
    if of_state != of_derivative:
        many = "; for many initial states in `y0` pass `batched=True`"
        raise ValueError(
            f"`vector_field` returns shape {of_derivative} for a state of shape "
            f"{of_state}. They must be equal{'' if batched else many}."
        )
