"""Split a model into what an optimiser may change and what it may not.

Each function returns `(dynamic, static)`, two trees in the structure of the model with
`None` where the other one has the leaf. Every leaf of `dynamic` is a float array, so
`jax.grad` and optax take it as it is. What a leaf is decides where it goes, never what
it is called: the `mean` of a parameter, any other float array of a parameter (a width),
a float array outside parameters (treated as a deterministic parameter's mean), or
something else (always static).
"""

from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._check import is_float_array, near_matches
from .._parameter import is_parameter
from .tree import Model, flatten_named, map_parts, name_of


def freeze_stdvs(model: Model) -> tuple[Model, Model]:
    """Freeze all widths: only means and plain float arrays are dynamic.

    Args:
        model: Any pytree.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Example:
        A MAP fit moves the means alone:

        ```python
        model = {"log_rate": bjm.GaussianParameter(np.array(0.0), np.array(0.1))}
        dynamic, static = bjm.freeze_stdvs(model)


        def loss(dynamic):
            model = bjm.unfreeze_all(dynamic, static)
            return (jnp.exp(model["log_rate"].mean) - 2.0) ** 2


        gradient = jax.grad(loss)(dynamic)
        gradient["log_rate"].mean  # -2.0
        gradient["log_rate"].raw_stdv  # None
        ```
    """
    return _partition(model, lambda name, is_mean: is_mean)


def freeze_means(model: Model) -> tuple[Model, Model]:
    """Freeze all means and plain float arrays: only widths are dynamic.

    Args:
        model: Any pytree.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Example:
        ```python
        model = {"log_rate": bjm.GaussianParameter(np.array(0.0), np.array(0.1))}
        dynamic, static = bjm.freeze_means(model)
        dynamic["log_rate"].mean  # None
        dynamic["log_rate"].raw_stdv  # 0.1
        ```
    """
    return _partition(model, lambda name, is_mean: not is_mean)


def freeze_params(model: Model, names: Iterable[str]) -> tuple[Model, Model]:
    """Freeze some parameters whole, means and widths.

    Args:
        model: Any pytree.
        names: Full names as `get_parameters` gives them, or of plain float arrays.

    Returns:
        `(dynamic, static)`; `unfreeze_all(dynamic, static)` is the model again.

    Raises:
        TypeError: If `names` is one string.
        ValueError: If the model has no parameter of a name; near matches are listed.

    Example:
        ```python
        model = {
            "growth": bjm.GaussianParameter(np.array(0.5), np.array(0.1)),
            "capacity": bjm.GaussianParameter(np.array(80.0), np.array(3.0)),
        }
        dynamic, static = bjm.freeze_params(model, ["['capacity']"])
        dynamic["capacity"].mean  # None
        ```
    """
    if isinstance(names, str):
        raise TypeError(f"`names` must be several names; write [{names!r}] for one.")
    frozen = set(names)
    known = [
        name
        for name, node in flatten_named(model)[0]
        if is_parameter(node) or is_float_array(node)
    ]
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
        dynamic: What may change, as a freeze function returned it or as an optimiser
            updated it.
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
    try:
        in_both = jax.tree_util.tree_map_with_path(
            lambda path, left, right: (
                None if left is None or right is None else name_of(path)
            ),
            dynamic,
            static,
            is_leaf=lambda leaf: leaf is None,
        )
    except ValueError as error:
        raise ValueError(wrong + "their trees differ." + remedy) from error
    for name in jax.tree.leaves(in_both):
        raise ValueError(f"{wrong}both have the leaf {name!r}.{remedy}")
    return eqx.combine(dynamic, static)


def _partition(
    model: Model, is_dynamic: Callable[[str, bool], bool]
) -> tuple[Model, Model]:
    named, treedef = flatten_named(model)

    def mark(name: str, node: Any) -> PyTree:
        def mark_leaf(is_mean: bool, leaf: Any) -> bool:
            return is_float_array(leaf) and is_dynamic(name, is_mean)

        if is_parameter(node):
            return map_parts(mark_leaf, node)
        return mark_leaf(True, node)

    marks = jax.tree.unflatten(treedef, [mark(name, node) for name, node in named])
    return eqx.partition(model, marks)
