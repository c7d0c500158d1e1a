"""What is observed of a simulation."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._check import is_float_array, near_matches
from .._dynamics import Trajectory
from .._likelihood import observed as picked


def check_observe(observe: Any, name: str) -> Any:
    """Hold `observe` to what it can be: nothing, indices, names or a function."""
    parts = observe if isinstance(observe, tuple) and observe else (observe,)
    alike = any(all(type(part) is kind for part in parts) for kind in (int, str))
    if not (observe is None or alike or callable(observe)):
        raise TypeError(
            "`observe` must be an index into the last axis of the states, the name of "
            "a part of them, a tuple of either, a function of what `simulate` returns "
            f"and of the drawn model, or None, but got {observe!r}."
        )
    return observe


def observed(
    observe: Any, states: PyTree, drawn: PyTree, series: str
) -> Float[Array, "..."]:
    """What is observed of a simulation, before any noise, as one array."""
    if callable(observe):
        found: Any = observe(states, drawn)
        if isinstance(found, Trajectory) or not is_float_array(found):
            raise TypeError(
                "`observe` must return an array of floats, but returned a "
                f"{type(found).__name__}."
            )
        return found
    if isinstance(states, Trajectory):
        states = states.ys
    if observe is None and isinstance(states, Mapping) and series in states:
        observe = series
    if isinstance(observe, str):
        return _part(states, observe)
    if isinstance(observe, tuple) and isinstance(observe[0], str):
        return jnp.stack([_part(states, name) for name in observe], axis=-1)
    if not is_float_array(states):
        raise TypeError(
            "What `simulate` returns is no array but has the structure "
            f"{jax.tree.structure(states)}. Say with `observe` what of it is observed: "
            "a name, a tuple of names, or a function of it and of the drawn model."
        )
    return picked(observe, states)


def _part(states: PyTree, name: str) -> Float[Array, "..."]:
    """A part of a dictionary, a named tuple or a module, by its name."""
    if isinstance(states, Mapping):
        parts = dict(states)
    else:
        paths = jax.tree_util.tree_leaves_with_path(states, is_leaf=is_float_array)
        parts = {jax.tree_util.keystr(path, simple=True): x for path, x in paths}
    if name in parts and is_float_array(parts[name]):
        return parts[name]
    near = near_matches(name, parts)
    raise ValueError(
        f"`observe` names {name!r}, but the states have no part of that name. "
        + (f"Near matches: {near}." if near else "They have no names.")
    )
