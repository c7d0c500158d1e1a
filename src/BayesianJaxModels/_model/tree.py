"""The walk over a model whose nodes are whole parameters and every leaf outside."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey
from jaxtyping import Array, Float, PyTree

from .._compute import one_program
from .._parameter import AbstractParameter, is_parameter

Model = TypeVar("Model", bound=PyTree)


def flatten_named(model: PyTree) -> tuple[list[tuple[str, Any]], Any]:
    """Named nodes, such as `("layers[0].W", parameter)`, and the tree definition."""
    paths_and_nodes, treedef = jax.tree_util.tree_flatten_with_path(
        model, is_leaf=is_parameter
    )
    return [(name_of(path), node) for path, node in paths_and_nodes], treedef


def name_of(path: tuple) -> str:
    """Spell a path as Python does, without the leading dot of an attribute."""
    return jax.tree_util.keystr(path).removeprefix(".")


def has_mean(node: Any) -> bool:
    """Whether it is a parameter, and not the half that a partition leaves of one."""
    return is_parameter(node) and node.mean is not None


def map_parameters(fn: Callable[[int, AbstractParameter], Any], model: Model) -> Model:
    """Replace the parameter with index `i` by `fn(i, parameter)`; keep the rest.

    A parameter whose mean is frozen is kept and has no index.
    """
    named, treedef = flatten_named(model)
    index = count()
    nodes = [fn(next(index), node) if has_mean(node) else node for _, node in named]
    return jax.tree.unflatten(treedef, nodes)


def map_parts(
    fn: Callable[[bool, Any], Any], parameter: AbstractParameter
) -> AbstractParameter:
    """Map `fn(is_mean, leaf)` over the leaves of one parameter."""
    mean_path = (GetAttrKey("mean"),)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: fn(path == mean_path, leaf), parameter
    )


def replace_mean(
    parameter: AbstractParameter, mean: Float[Array, "..."]
) -> AbstractParameter:
    """The same parameter at another location."""
    return eqx.tree_at(lambda p: p.mean, parameter, mean)


def ravel_all(arrays: Sequence[Float[Array, "..."]]) -> Float[Array, " n"]:
    """Concatenate arrays of any shapes and float dtypes into one vector."""
    if len(arrays) == 0:
        return jnp.zeros(0)
    return _ravel(list(arrays), common_dtype(arrays))


@partial(one_program, static_argnums=1)
def _ravel(arrays: list[Float[Array, "..."]], dtype: Any) -> Float[Array, " n"]:
    return jnp.concatenate([array.ravel().astype(dtype) for array in arrays])


def common_dtype(arrays: Sequence[Float[Array, "..."]]) -> Any:
    """The dtype of what `ravel_all` makes of at least one array."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*arrays)
