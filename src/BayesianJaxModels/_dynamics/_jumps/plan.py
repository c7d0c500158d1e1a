"""Jumps as a solve takes them."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from ..._check import as_jax
from ..clock import Clock, Span
from .base import AbstractJumps
from .solver import as_never

# Of times counted from a start in double precision, the error in units of the start.
IN_DOUBLE = 8 * float(np.finfo(np.float64).eps)


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

    @property
    def are_possible(self):
        return self.jumps.are_possible

    def timed(self, change):
        return JumpsTogether(self.jumps.timed(change), self.args_axes)

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


def check_known(jumps: tuple[AbstractJumps, ...], clock: Clock) -> None:
    """Say what is wrong with times that are known, counted from the start of a clock.

    Raises:
        ValueError: If one comes before the start, the solve runs backwards, or JAX's
            precision cannot tell them apart where it has to.
    """
    dtype = jax.dtypes.canonicalize_dtype(clock.ts.dtype)
    for each in jumps:
        if not isinstance(each.times, np.ndarray):
            continue
        if isinstance(clock.since, np.ndarray) and np.any(clock.since < 0):
            raise ValueError(
                "`jumps` run forwards in time, but the times of this solve backwards."
            )
        starts = np.broadcast_to(clock.reference, each.times.shape[:-1])
        early = np.argwhere(each.times < -IN_DOUBLE * np.abs(starts[..., None]))
        if len(early):
            since, start = each.times[tuple(early[0])], starts[tuple(early[0][:-1])]
            raise ValueError(
                f"`jumps` has {start + since:g}, which is before the start at "
                f"{start:g}. Begin earlier, with `t0`, or leave it out."
            )
        each.check_apart(dtype)


def settle_jumps(
    jumps: tuple[AbstractJumps, ...],
    y0: PyTree,
    span: Span,
    args: Any,
    args_axes: PyTree,
    *,
    batched: bool,
    own_steps: bool,
) -> tuple[AbstractJumps, ...]:
    """Jumps that fit the state, and whose functions close over nothing.

    Raises:
        ValueError: If the state that one leads to has another structure or shape.
    """
    settled = []
    for each in jumps:
        rows = np.shape(each.times)[:-1]
        size = len(jax.tree.leaves(y0)[0]) if batched and own_steps else None
        if rows and rows != (size,):
            raise ValueError(
                f"`jumps` has times of shape {np.shape(each.times)}. Rows are for the "
                "initial states of `batched=True`, with steps of their own, and must "
                "be as many as these."
            )
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


def with_stops(
    span: Span, jumps: tuple[AbstractJumps, ...], *, were_counted: bool
) -> tuple[Span, Float[Array, " T"], tuple[AbstractJumps, ...]]:
    """The span of one solve, whose steps end where something happens.

    Times that rounding has made a little different are one: a solver cannot stop twice
    within a few numbers. What is saved at such a time is saved just before it.

    Args:
        span: The times of the solve.
        jumps: What happens.
        were_counted: Whether all times were counted from the start in double precision.

    Returns:
        The span, its times as they were but for such differences, and the jumps at the
        times where steps end.
    """
    dtype, zero = span.elapsed.dtype, jnp.zeros(1, span.elapsed.dtype)
    eps = jnp.finfo(dtype).eps
    from_start = (IN_DOUBLE if were_counted else 2 * eps) * jnp.abs(span.start)
    parts = [zero] if span.jump_ts is None else [zero, span.jump_ts]
    parts += [jnp.asarray(each.stops, dtype) for each in jumps]
    stops = lax.stop_gradient(as_never(jnp.concatenate(parts)))
    stops = jnp.sort(jnp.where(jnp.abs(stops) <= from_start, 0, stops))
    width = 4 * eps * jnp.where(jnp.isinf(stops), 0, jnp.abs(stops)) + from_start
    is_first = jnp.diff(stops, prepend=-jnp.inf) > width
    kept = jnp.where(is_first, stops, jnp.inf)

    def to_stop(times):
        times = jnp.asarray(times, dtype)
        known = lax.stop_gradient(times)
        known = jnp.where(jnp.abs(known) <= from_start, 0, known)
        last = jnp.max(jnp.where(kept <= known[..., None], kept, -jnp.inf), axis=-1)
        return times + jnp.where(jnp.isfinite(last), last - known, 0)

    jumps = tuple(each.timed(to_stop) for each in jumps)
    known = lax.stop_gradient(span.elapsed)[:, None]
    near = (jnp.abs(known - kept) <= width) & jnp.isfinite(kept)
    stop = jnp.max(jnp.where(near, kept, -jnp.inf), axis=-1)
    saved = span.elapsed + jnp.where(jnp.isfinite(stop), stop - known[:, 0], 0)
    at_jump = jnp.zeros(saved.shape, bool)
    for each in jumps:
        at_jump |= jnp.any(saved[:, None] == as_never(each.times), axis=-1)
    before = jnp.where(at_jump & (saved > 0), eqxi.prevbefore(saved), saved)
    stops = jnp.where(kept > 0, kept, jnp.inf)
    return replace(span, elapsed=before, jump_ts=stops), saved, jumps


def run_forwards(
    jumps: tuple[AbstractJumps, ...], end: Float[Array, ""]
) -> Bool[Array, ""]:
    """Whether a solve runs forwards, no jump is before its start, and all can be."""
    fine = [~jnp.any(each.times < 0) & each.are_possible for each in jumps]
    return (end >= 0) & jnp.all(jnp.stack(fine))


def _shapes(tree: PyTree, axis: int | None) -> PyTree:
    """Only shapes, of one row where there are several."""

    def of(leaf):
        if not isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct):
            return leaf
        shape = leaf.shape if axis is None else leaf.shape[1:]
        return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(leaf.dtype))

    return jax.tree.map(of, tree)
