"""Split a model into what an optimiser may change and what it may not."""

from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._check import is_float_array, near_matches
from .._parameter import is_parameter
from .estimate import check_has_parameters
from .tree import Model, flatten_named, map_parts, name_of


def freeze_stdvs(model: Model) -> tuple[Model, Model]:
    """Freeze all widths: only means and plain float arrays are dynamic.

    Args:
        model: Any pytree.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Raises:
        TypeError: If `model` is draws or a fit, in which nothing trains.

    Example:
        ```python
        log_rate = bjm.GaussianParameter(np.array(0.0), np.array(0.1))
        dynamic, static = bjm.freeze_stdvs(log_rate)

        def loss(dynamic):
            return (jnp.exp(bjm.unfreeze_all(dynamic, static).mean) - 2.0) ** 2

        gradient = jax.grad(loss)(dynamic)
        gradient.mean  # -2.0
        gradient.raw_stdv  # None
        ```
    """
    check_has_parameters("freeze_stdvs", model)
    return _partition(model, lambda name, is_mean: is_mean)


def freeze_means(model: Model) -> tuple[Model, Model]:
    """Freeze all means and plain float arrays: only widths are dynamic.

    Args:
        model: Any pytree.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Raises:
        TypeError: If `model` is draws or a fit, in which nothing trains.

    Example:
        ```python
        log_rate = bjm.GaussianParameter(np.array(0.0), np.array(0.1))
        dynamic, static = bjm.freeze_means(log_rate)
        dynamic.mean  # None
        dynamic.raw_stdv  # 0.1
        ```
    """
    check_has_parameters("freeze_means", model)
    return _partition(model, lambda name, is_mean: not is_mean)


def freeze_params(model: Model, names: Iterable[str]) -> tuple[Model, Model]:
    """Freeze some parameters whole, means and widths.

    Args:
        model: Any pytree.
        names: Full names as `get_parameters` gives them, or of plain float arrays.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Raises:
        TypeError: If `names` is one string, or `model` is draws or a fit.
        ValueError: If the model has no parameter of a name; near matches are listed.

    Example:
        ```python
        model = {"growth": bjm.make_parameter(0.5), "size": bjm.make_parameter(80.0)}
        dynamic, static = bjm.freeze_params(model, ["['size']"])
        dynamic["size"].mean  # None
        ```
    """
    if isinstance(names, str):
        raise TypeError(f"`names` must be several names; write [{names!r}] for one.")
    check_has_parameters("freeze_params", model)
    frozen = set(names)
    named, _ = flatten_named(model)
    known = [name for name, p in named if is_parameter(p) or is_float_array(p)]
    for name in sorted(frozen.difference(known)):
        near = near_matches(name, known)
        raise ValueError(
            f"`names` has {name!r}, but the model has no parameter of that name. "
            + (f"Near matches: {near}." if near else "It has no parameters.")
        )
    return _partition(model, lambda name, is_mean: name not in frozen)


def unfreeze_all(dynamic: Model, static: Model) -> Model:
    """Put the two halves of a partition together again, as `equinox.combine` does.

    Args:
        dynamic: What may change, as a freeze function or an optimiser returned it.
        static: The other half.

    Returns:
        The whole model.

    Raises:
        ValueError: If the two are not halves of one model, or of two partitions of it.

    Example:
        ```python
        model = [bjm.GaussianParameter(np.array(0.5), np.array(0.1))]
        dynamic, static = bjm.freeze_stdvs(model)
        moved = jax.tree.map(lambda mean: mean + 1.0, dynamic)
        bjm.unfreeze_all(moved, static)[0].mean  # 1.5
        ```
    """
    wrong = "`dynamic` and `static` are not two halves of one model: "
    remedy = " Pass both as one call of a freeze function returned them."

    def clash(path, left, right):
        return None if left is None or right is None else name_of(path)

    try:
        in_both = jax.tree_util.tree_map_with_path(
            clash, dynamic, static, is_leaf=lambda leaf: leaf is None
        )
    except ValueError as error:
        raise ValueError(wrong + "their trees differ." + remedy) from error
    for name in jax.tree.leaves(in_both):
        raise ValueError(f"{wrong}both have the leaf {name!r}.{remedy}")
    return eqx.combine(dynamic, static)


def _partition(
    model: Model, is_dynamic: Callable[[str, bool], bool]
) -> tuple[Model, Model]:
    """Two trees like the model, each with `None` where the other one has the leaf.

    Leaves of the first are the float arrays whose name, and whether they are a mean,
    `is_dynamic`. Those outside of parameters count as means.
    """
    named, treedef = flatten_named(model)

    def mark(name: str, node: Any) -> PyTree:
        def mark_leaf(is_mean: bool, leaf: Any) -> bool:
            return is_float_array(leaf) and is_dynamic(name, is_mean)

        if is_parameter(node):
            return map_parts(mark_leaf, node)
        return mark_leaf(True, node)

    marks = jax.tree.unflatten(treedef, [mark(name, node) for name, node in named])
    return eqx.partition(model, marks)
