"""Labels of the components of a pytree, for plots and reports."""

from typing import Any

from jax.tree_util import DictKey, GetAttrKey


def label_of(path: tuple[Any, ...], index: tuple[int, ...], root: str) -> str:
    """The path to a component: `prey`, `rest.deep[0]`, or `root[1]` without a name."""
    label = ""
    for key in path:
        if isinstance(key, GetAttrKey):
            label += f".{key.name}"
        elif isinstance(key, DictKey) and isinstance(key.key, str):
            label += f".{key.key}"
        else:
            label += str(key)
    label += str(list(index)) if index else ""
    return label[1:] if label.startswith(".") else root + label
