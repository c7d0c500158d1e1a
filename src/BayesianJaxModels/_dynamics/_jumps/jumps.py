"""Any function of the state, at known times."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .base import AbstractJumps, check_saved, read_jump_times, repeated


class Jumps(AbstractJumps):
    """At known times the state becomes another one.

    Args:
        times: When, in order: one number, `(J,)`, or with `batched=True` a row for each
            initial state. NaN, behind them, is padding.
        apply: From `(t, y, args)`, or `(t, y, args, value)` if there are `values`, to
            the state after.
        values: An array or a pytree of arrays whose leading axes are those of `times`,
            of which `apply` gets the entry of the time.
        saved: Whether a saved time at which it happens has the state `"before"` or
            `"after"` it.

    Attributes:
        was_known: As in `AbstractJumps`.

    Raises:
        TypeError: If `apply` is no function or `times` are not made of real numbers.
        ValueError: If `times` are not in order, or `values` are not as many.

    Example:
        ```python
        class Decay(bjm.AbstractVectorField):
            rate: bjm.AbstractParameter  # per hour

            def __call__(self, t, y, args):
                return -self.rate.value * y

        half_out = bjm.Jumps(2.0, lambda t, y, args: y / 2, saved="after")
        solve = bjm.Solve(np.array([1.0, 2.0, 3.0]), t0=0.0, y0=80.0, jumps=half_out)
        solve(Decay(bjm.make_parameter(0.5))).ys  # [48.52, 14.72, 8.93]
        ```
    """

    times: Float[Array | np.ndarray, "..."]
    apply: Callable
    values: PyTree
    saved: str = eqx.field(static=True)
    was_known: bool = eqx.field(static=True)

    def __init__(
        self, times: Any, apply: Any, *, values: Any = None, saved: str = "before"
    ):
        if not callable(apply):
            raise TypeError(
                "`apply` must be a function `(t, y, args) -> y`, but is a "
                f"{type(apply).__name__}."
            )
        self.times, self.was_known = read_jump_times(times)
        self.apply, self.values, self.saved = apply, values, check_saved(saved)
        for leaf in jax.tree.leaves(values):
            if np.shape(leaf)[: self.times.ndim] != self.times.shape:
                raise ValueError(
                    f"`values` must have an entry for each of `times`, of shape "
                    f"{self.times.shape}, but has a leaf of shape {np.shape(leaf)}."
                )

    def jump(self, now, t, y, args):
        inputs = (t, y, args)
        if self.values is not None:
            place = jnp.argmax(now)
            inputs += (
                jax.tree.map(lambda leaf: jnp.asarray(leaf)[place], self.values),
            )
        after = self.apply(*inputs)
        return jax.tree.map(
            lambda new, old: jnp.where(jnp.any(now), new, old), after, y
        )

    def check_apart(self, dtype):
        times = np.asarray(self.times).astype(dtype)
        if np.any(np.diff(times) <= 4 * np.finfo(dtype).eps * np.abs(times[..., 1:])):
            raise ValueError(
                f"`Jumps` applies its function at one time after the other, but {dtype}"
                " cannot tell some of its times apart, counted from the start. Use "
                "double precision, `jax.config.update('jax_enable_x64', True)`."
            )

    @property
    def are_possible(self):
        # One function for all times cannot be applied twice at one.
        return jnp.all(~(jnp.diff(self.times) <= 0))

    def closed(self, t, y, args):
        inputs = (t, y, args)
        if self.values is not None:
            inputs += (jax.tree.map(self._one, self.values),)
        apply = eqx.filter_closure_convert(self.apply, *inputs)
        return eqx.tree_at(
            lambda it: it.apply, self, apply, is_leaf=lambda node: node is self.apply
        )

    def _one(self, values: Any) -> jax.ShapeDtypeStruct:
        dtype = jax.dtypes.canonicalize_dtype(jnp.result_type(values))
        return jax.ShapeDtypeStruct(np.shape(values)[self.times.ndim :], dtype)

    def in_rows(self, size):
        own = jax.tree.map(partial(repeated, size=size), (self.times, self.values))
        return eqx.tree_at(
            lambda it: (it.times, it.values),
            self,
            own,
            is_leaf=lambda node: node is None,
        )

    @property
    def axes(self):
        axis = 0 if np.ndim(self.times) > 1 else None
        nowhere = jax.tree.map(lambda _: None, self)
        return eqx.tree_at(
            lambda tree: (tree.times, tree.values),
            nowhere,
            (axis, jax.tree.map(lambda _: axis, self.values)),
            is_leaf=lambda node: node is None,
        )
