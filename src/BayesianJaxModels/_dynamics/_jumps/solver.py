"""Jumps within the steps of a solver."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import diffrax
import equinox as eqx
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
    timed: bool = eqx.field(static=True)

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
        _, users_args, users_time, jumps = args

        def jumped(y):
            slope = partial(terms.vf, t0, args=args) if self.timed else None
            is_now = partial(_is_just_before, t0=t0)
            return jump_now(is_now, y, jumps, users_args, users_time, slope)

        if made_jump is not False:
            # One branch for all that run side by side: most steps begin with no jump.
            y0 = lax.cond(eqxi.unvmap_any(made_jump), jumped, lambda y: y, y0)
        return self.solver.step(terms, t0, t1, y0, args, solver_state, made_jump)


def jump_now(
    is_now: Callable[[Array], Bool[Array, " J"]],
    y: PyTree,
    jumps: tuple[AbstractJumps, ...],
    args: Any,
    users_time: UsersTime,
    slope: Callable | None,
) -> PyTree:
    """The state after the jumps of a time, where the times may have derivatives.

    A step that ends at a jump does not know of them. To first order the state has moved
    on with the old slope when a jump comes later, and less with the new one.

    Args:
        is_now: Which of some times are this one.
        y: The state before.
        jumps: What happens.
        args: What the vector field gets.
        users_time: From a time since the start to the user's.
        slope: The derivative of a state now; `None` where no time has a derivative.
    """
    for each in jumps:
        times = as_never(each.times)
        now = is_now(times)
        time = users_time(jnp.sum(jnp.where(now, times, 0)))
        if slope is None:
            y = each.jump(now, time, y, args)
            continue
        later = jnp.sum(jnp.where(now, times - lax.stop_gradient(times), 0))
        y = _along(y, later, slope(y=y))
        y = each.jump(now, time, y, args)
        y = _along(y, -later, slope(y=y))
        y = each.moved(is_now, y)
    return y


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
        ts: The times, exactly those of jumps where they are meant to be.
        ys: The states before the jumps of each time; at zero after them.
        y0: The state at zero before them.
        jumps: What happens.
        args: What the vector field gets.
        users_time: From a time since the start to the user's.
    """
    after = tuple(each for each in jumps if each.saved == "after")

    def at(t, y):
        y = jax.tree.map(lambda leaf, start: jnp.where(t == 0, start, leaf), y, y0)
        return jump_now(lambda times: times == t, y, after, args, users_time, None)

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


def as_never(times: Any) -> Array:
    """Times, those of padding never."""
    times = jnp.asarray(times)
    return jnp.where(jnp.isnan(times), jnp.inf, times)


def _along(y: PyTree, time: Float[Array, ""], slope: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf, by: leaf + time * by, y, slope)


def _is_just_before(times: Array, t0: Any) -> Bool[Array, " K"]:
    times = as_never(lax.stop_gradient(times))
    return (times <= t0) & (t0 <= eqxi.nextafter(times))
