"""Guards that keep a failed draw out of the gradients of the others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float, PyTree

from ._check import in_own_dtype, is_float_array


def stop_gradient(tree: PyTree) -> PyTree:
    """The identity, whose gradient is zero; leaves that are no float arrays may be."""
    return jax.tree.map(
        lambda leaf: lax.stop_gradient(leaf) if is_float_array(leaf) else leaf, tree
    )


def guard_gradient(tree: PyTree, *, mapped_with: PyTree) -> PyTree:
    """The identity, whose gradient is zero if any of it is not finite.

    Masking a loss does not keep the gradient of a failed solve out: in the backward
    pass zero times infinity is NaN. This stops it where it would leave the draw. In
    forward mode tangents pass as they are.

    The gradient is judged one by one over the axes of `jax.vmap` over which any of
    `mapped_with` is mapped. Over others JAX sums it before this sees it, and one NaN in
    the sum loses all of it.
    """
    arrays, rest = eqx.partition(tree, is_float_array)
    zero = _mapped_zero(mapped_with)
    arrays = jax.tree.map(in_own_dtype, arrays)
    arrays = jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), arrays)
    return eqx.combine(_guarded(arrays), rest)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no array of a tree holds NaN or infinity."""
    leaves = jax.tree.leaves(tree)
    return jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]).all()


def _mapped_zero(tree: PyTree) -> Float[Array, ""]:
    """Zero, mapped over every axis of `jax.vmap` that a leaf is mapped over."""
    zero = jnp.zeros(())
    for leaf in jax.tree.leaves(tree):
        if is_float_array(leaf) and leaf.size > 0:
            entry = lax.stop_gradient(jnp.ravel(leaf)[0])
            zero = jnp.where(entry == entry, zero, jnp.zeros(()))
    return zero


@jax.custom_jvp
def _guarded(arrays: PyTree) -> PyTree:
    return arrays


def _guard_on_the_way_back(primals, tangents):
    """The identity as the solution of `x = b`, whose transpose is the guard.

    What is not differentiated stays out of it: it would cost a gradient of its own.
    """
    [arrays], [slopes] = primals, tangents
    slopes, treedef = jax.tree.flatten(slopes)
    places = [i for i, leaf in enumerate(slopes) if not isinstance(leaf, SymbolicZero)]
    if not places:
        return arrays, treedef.unflatten(slopes)
    leaves = [slopes[place] for place in places]
    # In one piece: where some are constant, JAX cannot transpose the others.
    dtype = max((leaf.dtype for leaf in leaves), key=lambda dtype: dtype.itemsize)
    together = lax.custom_linear_solve(
        lambda x: x,
        jnp.concatenate([leaf.ravel().astype(dtype) for leaf in leaves]),
        solve=lambda _, b: b,
        transpose_solve=lambda _, b: jnp.where(jnp.all(jnp.isfinite(b)), b, 0),
    )
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jnp.split(together, ends[:-1])
    for place, leaf, part in zip(places, leaves, parts, strict=True):
        slopes[place] = part.astype(leaf.dtype).reshape(leaf.shape)
    return arrays, treedef.unflatten(slopes)


_guarded.defjvp(_guard_on_the_way_back, symbolic_zeros=True)
