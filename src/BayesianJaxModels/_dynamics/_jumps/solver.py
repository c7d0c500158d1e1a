"""Jumps within the steps of a solver."""

from functools import partial
from typing import Any, cast

import diffrax
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from ..clock import UsersTime
from .base import AbstractJumps


class Jumping(diffrax.AbstractAdaptiveSolver, diffrax.AbstractWrappedSolver):
    """A solver whose steps begin with the jumps that were at the end of the last.

    A controller with `jump_ts` ends a step one number before a jump and begins the next
    one after it. The jumps are among the arguments of the vector field, where every
    adjoint sees them.
    """

    solver: diffrax.AbstractSolver

    @property
    def term_structure(self):
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # pyright: ignore
        return self.solver.interpolation_cls

    @property
    def root_finder(self):
        """That of an implicit method, whose tolerances diffrax sets."""
        return cast(diffrax.AbstractImplicitSolver, self.solver).root_finder

    def order(self, terms):
        return self.solver.order(terms)

    def error_order(self, terms):
        return self.solver.error_order(terms)

    def func(self, terms, t0, y0, args):
        return self.solver.func(terms, t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        return self.solver.init(terms, t0, t1, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        def jumped(y):
            return _jump_in_time(terms, t0, y, args)

        if made_jump is not False:
            # One branch for all that run side by side: most steps begin with no jump.
            y0 = lax.cond(eqxi.unvmap_any(made_jump), jumped, lambda y: y, y0)
        return self.solver.step(terms, t0, t1, y0, args, solver_state, made_jump)


def jump_at(
    t: Float[Array, ""],
    y: PyTree,
    jumps: tuple[AbstractJumps, ...],
    args: Any,
    users_time: UsersTime,
    *,
    only: str | None = None,
) -> PyTree:
    """The state after what happens at `t`, all of it or what is saved as `only`."""
    for each in jumps:
        if only in (None, each.saved):
            y = each.jump(_as(t, each.times) == t, users_time(t), y, args)
    return y


def just_before(
    ts: Float[Array, " T"], jumps: tuple[AbstractJumps, ...]
) -> Float[Array, " T"]:
    """Times since the start, those of jumps one number earlier: before them."""
    for each in jumps:
        is_jump = jnp.any(ts[:, None] == _as(ts, each.times), axis=-1) & (ts > 0)
        ts = jnp.where(is_jump, eqxi.prevbefore(ts), ts)
    return ts


def jump_where_saved(
    ts: Float[Array, " T"],
    ys: PyTree,
    y0: PyTree,
    jumps: tuple[AbstractJumps, ...],
    args: Any,
    users_time: UsersTime,
) -> PyTree:
    """States at saved times, before or after the jumps there.

    Args:
        ts: The times, as `just_before` got them.
        ys: The states before the jumps of each time; at zero after them.
        y0: The state at zero before them.
        jumps: What happens.
        args: What the vector field gets.
        users_time: From a time since the start to the user's.
    """

    def at(t, y):
        y = jax.tree.map(lambda leaf, start: jnp.where(t == 0, start, leaf), y, y0)
        return jump_at(t, y, jumps, args, users_time, only="after")

    return jax.vmap(at)(ts, ys)


def add_slopes(
    t: Float[Array, ""], y: PyTree, derivative: PyTree, jumps: tuple
) -> PyTree:
    """The derivative, with what flows in."""
    for each in jumps:
        slope = each.slope(t, y)
        if slope is not None:
            derivative = jax.tree.map(jnp.add, derivative, slope)
    return derivative


def _jump_in_time(terms: Any, t0: Any, y: PyTree, args: Any) -> PyTree:
    """The state after the jumps before `t0`, where their times may have derivatives.

    A step that ends at a jump does not know of them. To first order the state has moved
    on with the old slope when a jump comes later, and less with the new one.
    """
    _, users_args, users_time, jumps = args
    for each in jumps:
        times = _as(t0, each.times)
        now = _is_just_before(times, t0)
        inputs = users_time(jnp.sum(jnp.where(now, times, 0)))
        if each.was_known:
            y = each.jump(now, inputs, y, users_args)
            continue
        later = jnp.sum(jnp.where(now, times - lax.stop_gradient(times), 0))
        before = terms.vf(t0, y, args)
        y = _along(y, later, before)
        y = each.jump(now, inputs, y, users_args)
        after = terms.vf(t0, y, args)
        y = _along(y, -later, after)
        y = each.moved(partial(_is_just_before, t0=t0), y)
    return y


def _along(y: PyTree, time: Float[Array, ""], slope: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf, by: leaf + time * by, y, slope)


def _is_just_before(times: Any, t0: Array) -> Bool[Array, " K"]:
    times = lax.stop_gradient(_as(t0, times))
    return (times <= t0) & (t0 <= eqxi.nextafter(times))


def _as(t: Array, times: Any) -> Array:
    """Times in the precision of the solver, those of padding never."""
    times = jnp.asarray(times, t.dtype)
    return jnp.where(jnp.isnan(times), jnp.inf, times)
