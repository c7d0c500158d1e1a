"""Jumps as a solve takes them."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ..._check import as_jax
from ..clock import Span
from .base import AbstractJumps
from .solver import just_before


class JumpsTogether(AbstractJumps):
    """Of many states that are solved for as one: at the same times, for each its own.

    Attributes:
        jumps: Those of every state, with times that all share.
        args_axes: Which of `args` belongs to a state.
    """

    jumps: AbstractJumps
    args_axes: Any

    def __init__(self, jumps: AbstractJumps, args_axes: Any):
        self.jumps, self.args_axes = jumps, args_axes

    @property
    def times(self):
        return self.jumps.times

    @property
    def saved(self):
        return self.jumps.saved

    @property
    def was_known(self):
        return self.jumps.was_known

    @property
    def stops(self):
        return self.jumps.stops

    def jump(self, now, t, y, args):
        each = eqx.filter_vmap(self.jumps.jump, in_axes=(None, None, 0, self.args_axes))
        return each(now, t, y, args)

    def moved(self, is_now, y):
        return jax.vmap(lambda one: self.jumps.moved(is_now, one))(y)

    def slope(self, t, y):
        one = jax.tree.map(lambda leaf: leaf[0], y)
        if self.jumps.slope(t, one) is None:
            return None
        return jax.vmap(self.jumps.slope, in_axes=(None, 0))(t, y)


def check_after_start(jumps: tuple[AbstractJumps, ...], start: Any) -> None:
    """Say which known time comes before the start, from which they are counted.

    Raises:
        ValueError: If one does.
    """
    for each in jumps:
        if not isinstance(each.times, np.ndarray):
            continue
        early = np.argwhere(each.times < 0)
        if len(early):
            since = each.times[tuple(early[0])]
            starts = np.broadcast_to(start, each.times.shape[:-1])[tuple(early[0][:-1])]
            raise ValueError(
                f"`jumps` has {starts + since:g}, which is before the start at "
                f"{starts:g}. Begin earlier, with `t0`, or leave it out."
            )


def settle_jumps(
    jumps: tuple[AbstractJumps, ...],
    y0: PyTree,
    span: Span,
    args: Any,
    args_axes: PyTree,
    *,
    batched: bool,
) -> tuple[AbstractJumps, ...]:
    """Jumps that fit the state, and whose functions close over nothing.

    Raises:
        ValueError: If the state that one leads to has another structure or shape.
    """
    settled = []
    one = _shapes(y0, 0 if batched else None)
    own = args
    if batched and args_axes is not None:
        own = jax.tree.map(
            lambda axis, part: part if axis is None else _shapes(part, 0),
            args_axes,
            args,
            is_leaf=lambda node: (
                node is None or not isinstance(node, dict | tuple | list)
            ),
        )
    t = jax.ShapeDtypeStruct((), span.elapsed.dtype)
    for each in jumps:
        each.check(one)
        each = each.closed(t, one, own)
        row = _shapes(each, 0) if np.ndim(each.times) > 1 else each
        now = jax.ShapeDtypeStruct(np.shape(row.times), bool)
        after = eqx.filter_eval_shape(row.jump, now, t, one, own)
        of_state, of_after = (jax.tree.map(jnp.shape, tree) for tree in (one, after))
        if of_state != of_after:
            raise ValueError(
                f"`jumps` leads to a state of shape {of_after} from one of shape "
                f"{of_state}. They must be equal."
            )
        settled.append(each)
    return jax.tree.map(
        lambda leaf: as_jax(leaf) if isinstance(leaf, np.ndarray) else leaf,
        tuple(settled),
    )


def with_stops(span: Span, jumps: tuple[AbstractJumps, ...]) -> Span:
    """The span of one solve, with steps that end where something happens.

    Times at which it happens are saved just before it.
    """
    if not jumps:
        return span
    stops = [] if span.jump_ts is None else [span.jump_ts]
    stops += [jnp.asarray(each.stops, span.elapsed.dtype) for each in jumps]
    return replace(
        span,
        elapsed=just_before(span.elapsed, jumps),
        jump_ts=jax.lax.stop_gradient(jnp.concatenate(stops)),
    )


def run_forwards(
    jumps: tuple[AbstractJumps, ...], end: Float[Array, ""]
) -> Bool[Array, ""]:
    """Whether a solve runs forwards, and no jump is before its start."""
    early = [jnp.any(jnp.asarray(each.times) < 0) for each in jumps]
    return (end >= 0) & ~jnp.any(jnp.stack(early))


def _shapes(tree: PyTree, axis: int | None) -> PyTree:
    """Only shapes, of one row where there are several."""

    def of(leaf):
        if not isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
            return leaf
        shape = leaf.shape if axis is None else leaf.shape[1:]
        return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(leaf.dtype))

    return jax.tree.map(of, tree)
