"""Events of diffrax: what their conditions are given, and where they end a solve."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from .clock import UsersTime


class End(eqx.Module):
    """Where a solve ended that was given an event.

    Attributes:
        t: The time, of shape `(...)`.
        y: The state then, leaves of shape `(..., *state)`.
        event_mask: Which condition it was, in the structure of the event.
        is_reached: Which of the times asked for come before, of shape `(..., T)`.
        since_start: `t` since the time of `y0`, which has more digits.
    """

    t: Float[Array, "..."]
    y: PyTree[Float[Array, "..."]]
    event_mask: PyTree[Bool[Array, "..."]]
    is_reached: Bool[Array, "..."]
    since_start: Float[Array, "..."] | None = None

    def shared_by(self, size: int) -> "End":
        """Of `size` states that were solved together: `y` has them already."""
        repeated = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (size, *jnp.shape(leaf))),
            replace(self, y=None),
        )
        return replace(repeated, y=self.y)


def with_users_words(event: Any) -> diffrax.Event:
    """The event with conditions that are called as users expect.

    diffrax itself calls them with time since the start, negative where it runs
    backwards, and with the field in front of `args`.
    """
    if not isinstance(event, diffrax.Event):
        raise TypeError(
            f"`event` must be a `diffrax.Event`, but is a {type(event).__name__}. "
            "Write `diffrax.Event(lambda t, y, args, **kwargs: y[0] < 1.0)`."
        )
    must_have_root = callable(event.cond_fn) and event.root_finder is not None
    conditions = jax.tree.map(
        lambda condition: _Condition(condition, must_have_root),
        event.cond_fn,
        is_leaf=callable,
    )
    return replace(event, cond_fn=conditions)


class _Condition(eqx.Module):
    condition: Callable
    must_have_root: bool = eqx.field(static=True)

    def __call__(self, t, y, args, *, terms, t0, t1, **kwargs):
        vector_field, args, users_time, *_ = args
        t, t0, t1 = [users_time(time * terms.direction) for time in (t, t0, t1)]
        kwargs["t0"], kwargs["t1"] = t0, t1
        kwargs["terms"] = diffrax.ODETerm(vector_field)
        value = self.condition(t, y, args, **kwargs)
        if self.must_have_root and jnp.issubdtype(jnp.result_type(value), jnp.bool_):
            raise ValueError(
                "With a root finder the condition of `event` must return a number that "
                "changes sign, such as `y[0] - 1.0`, but it returns a boolean, which "
                "has no root. Without a root finder the event is at the end of a step."
            )
        return value


def save_with_end(saveat: diffrax.SaveAt) -> diffrax.SaveAt:
    """Save where the solve ends, too."""
    return diffrax.SaveAt(subs=(saveat.subs, diffrax.SubSaveAt(t1=True)))


def read_with_end(
    solution: diffrax.Solution, ts: Float[Array, " T"], users_time: UsersTime
) -> tuple[PyTree, End]:
    """The states, NaN at times that were not reached, and the end."""
    times, states = cast(tuple, solution.ts), cast(tuple, solution.ys)
    saved, [t_end] = times
    y_end = jax.tree.map(lambda leaf: leaf[0], states[1])
    # At the start an event ends a solve before anything is saved.
    at_end = ts == t_end
    is_saved = jnp.isfinite(saved)

    def fill(leaf, end):
        shape = (-1, *(1,) * end.ndim)
        rest = jnp.where(at_end.reshape(shape), end, jnp.nan)
        return jnp.where(is_saved.reshape(shape), leaf, rest)

    ys = jax.tree.map(fill, states[0], y_end)
    is_reached = is_saved | at_end
    t = users_time(t_end)
    return ys, End(t, y_end, solution.event_mask, is_reached, since_start=t_end)
