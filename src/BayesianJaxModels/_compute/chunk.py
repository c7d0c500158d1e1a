"""Items in lock-step, and how many of them."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Int, PyTree

from .._check import in_own_dtype

# Weights that a core reads again and again at every stage of a solver should stay in
# its cache. Measured on CPUs with 1 to 2 MiB a core: best between 0.3 and 1 MiB.
CACHE_BYTES = 600_000
# Beyond this, larger chunks win nothing, and short solves still fill a core's vectors.
LARGEST_CHUNK = 1_000
# XLA drops an axis of size 1 and then rounds some draws otherwise, by one unit in the
# last place. With two or more in lock-step the weights are the same bit for bit.
SMALLEST_BATCH = 2
# Bytes. Arrays of NumPy begin at any multiple of 16, and XLA copies those.
ALIGNMENT = 64


def items_in_cache(bytes_per_item: int) -> int:
    """How many items of this many bytes a CPU core keeps in its cache, at least 1."""
    return max(1, min(LARGEST_CHUNK, CACHE_BYTES // max(bytes_per_item, 1)))


def in_batches(
    fn: Callable[[Int[Array, ""]], PyTree], indices: Int[Array, "m n"]
) -> PyTree:
    """`fn` of each index, those of a row in lock-step and one row after the other."""
    stacked = lax.map(jax.vmap(fn), indices)
    return jax.tree.map(
        lambda leaf: leaf.reshape(indices.size, *leaf.shape[2:]), stacked
    )


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of NumPy that JAX takes on a CPU without a copy, by where it begins."""
    num_bytes = math.prod(shape) * dtype.itemsize
    room = np.empty(num_bytes + ALIGNMENT, np.uint8)
    begin = -room.ctypes.data % ALIGNMENT
    return room[begin : begin + num_bytes].view(dtype).reshape(shape)


def put(tree: PyTree, device: Any = None) -> PyTree:
    """A tree on a device, with what NumPy holds, which each call would send anew.

    Without a device JAX's arrays stay where they are.
    """
    leaves, treedef = jax.tree.flatten(tree)
    kinds = np.ndarray if device is None else (np.ndarray, jax.Array)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, kinds)]
    placed = jax.device_put([in_own_dtype(leaves[i]) for i in places], device)
    for place, leaf in zip(places, placed, strict=True):
        leaves[place] = leaf
    return treedef.unflatten(leaves)
