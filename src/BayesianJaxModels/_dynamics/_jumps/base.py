"""What happens to a state at known times."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PyTree

from ..._check import is_array
from ..clock import read_times

SAVED = ("before", "after")


class AbstractJumps(eqx.Module):
    """Something that happens to the state of a solve at known times.

    A kind of your own has fields for these and says in `jump` what becomes of the
    state; one that acts for a while has `stops` and a `slope` too.

    Attributes:
        times: When it happens, of shape `(J,)`, or `(N, J)` where each of `N` initial
            states has times of its own. NaN is padding.
        saved: Whether a time that is saved and at which something happens has the state
            `"before"` or `"after"` it.
        was_known: Whether the times were known when they were given; gradients reach
            only those that were not.

    Example:
        ```python
        class Halved(bjm.AbstractJumps):
            times: np.ndarray
            saved: str = "after"
            was_known: bool = True

            def jump(self, now, t, y, args):
                return jnp.where(jnp.any(now), y / 2, y)

        growth = lambda t, y, args: y
        jumps, ts = Halved(np.array([1.0])), np.array([0.0, 1.0, 2.0])
        bjm.integrate(growth, 1.0, ts, jumps=jumps).ys  # [1.000, 1.359, 3.695]
        ```
    """

    times: eqx.AbstractVar[Float[Array | np.ndarray, "..."]]
    saved: eqx.AbstractVar[str]
    was_known: eqx.AbstractVar[bool]

    @abstractmethod
    def jump(
        self, now: Bool[Array, " J"], t: Float[Array, ""], y: PyTree, args: Any
    ) -> PyTree:
        """The state after what happens now.

        Args:
            now: Which of `times` it is; none of them mostly, and then `y` stays.
            t: The time.
            y: The state before.
            args: What the vector field gets.
        """

    @property
    def stops(self) -> Float[Array | np.ndarray, "..."]:
        """Where steps must end, on the last axis: `times`, and more if it lasts."""
        return self.times

    def slope(self, t: Float[Array, ""], y: PyTree) -> PyTree | None:
        """What is added to the derivative, or `None` where nothing ever is.

        Args:
            t: A time, counted as `times` are.
            y: The state.
        """
        return None

    def moved(self, is_now: Callable[[Any], Bool[Array, " J"]], y: PyTree) -> PyTree:
        """The state, where a stop of its slope has a derivative, to first order.

        Args:
            is_now: Which of some times are those of this stop.
            y: The state at the stop.
        """
        return y

    @property
    def axes(self) -> PyTree:
        """Which of its arrays have rows, as `in_axes` of `jax.vmap`."""
        axis = 0 if np.ndim(self.times) > 1 else None
        return jax.tree.map(lambda _: axis, self)

    def shifted(self, by: Any) -> "AbstractJumps":
        """The same, so much later.

        Args:
            by: How much, one number or one for each initial state.
        """
        jumps = self
        if np.ndim(by):
            jumps = self.in_rows(len(by)) if np.ndim(self.times) == 1 else self
            by = by[:, None]
        return jumps.timed(lambda times: times + by)

    def timed(self, change: Callable[[Any], Any]) -> "AbstractJumps":
        """The same at other times.

        Args:
            change: From times, of `times` and of all else that it counts, to others.
        """
        return eqx.tree_at(lambda jumps: jumps.times, self, change(self.times))

    def check_apart(self, dtype: Any) -> None:
        """Say where known times are one in a precision, if it must tell them apart.

        Args:
            dtype: Of the solve.

        Raises:
            ValueError: If it cannot.
        """
        return

    @property
    def are_possible(self) -> Bool[Array, ""]:
        """Whether it can happen so, where only values can tell."""
        return jnp.array(True)

    def in_rows(self, size: int) -> "AbstractJumps":
        """The same for each of many initial states.

        Args:
            size: How many.
        """
        return jax.tree.map(partial(repeated, size=size), self)

    def closed(self, t: Any, y: PyTree, args: Any) -> "AbstractJumps":
        """The same, with arrays that its functions close over among its own.

        Args:
            t: A time, of which only the shape is known, as of all else.
            y: A state.
            args: What the vector field gets.
        """
        return self

    def check(self, y: PyTree) -> None:
        """Say what is wrong with it for such a state.

        Args:
            y: A state, of which only shapes are known.

        Raises:
            ValueError: If it cannot happen to it.
        """
        return


def repeated(leaf: Any, size: int) -> Any:
    """An array in so many rows; what is no array as it is."""
    if not is_array(leaf):
        return leaf
    xp = np if isinstance(leaf, np.ndarray) else jnp
    return xp.broadcast_to(leaf, (size, *leaf.shape))


def read_jump_times(times: Any) -> tuple[Float[Array | np.ndarray, "..."], bool]:
    """Times in order, NaN behind them, and whether they are known.

    Raises:
        TypeError: If they are not made of real numbers.
        ValueError: If they are known and not in order.
    """
    found = read_times(times, "times")
    found = (np if isinstance(found, np.ndarray) else jnp).atleast_1d(found)
    if found.shape[-1:] == (0,):
        found = np.full((*found.shape[:-1], 1), np.nan)
    if found.ndim > 2:
        raise ValueError(
            f"`times` must have one axis, or a row for each initial state, but has "
            f"shape {found.shape}."
        )
    if isinstance(found, Tracer):
        return found, False
    for row in np.atleast_2d(found):
        kept = row[~np.isnan(row)]
        if len(kept) < len(row) and np.isnan(row[: len(kept)]).any():
            raise ValueError("NaN in `times` is padding, and must come last.")
        if not np.all(np.isfinite(kept)):
            raise ValueError(f"`times` must be finite, but are {kept}.")
        if np.any(np.diff(kept) < 0):
            place = int(np.argmax(np.diff(kept) < 0))
            raise ValueError(
                f"`times` must be in order, but {kept[place + 1]:g} comes after "
                f"{kept[place]:g}. Sort them, with what belongs to them."
            )
        if np.any(np.diff(kept) == 0):
            place = int(np.argmax(np.diff(kept) == 0))
            raise ValueError(
                f"`times` has {kept[place]:g} twice. Add up what happens then, or give "
                "it apart: `jumps=(one, other)`."
            )
    return found, True


def check_saved(saved: Any) -> str:
    """`"before"` or `"after"`."""
    if saved not in SAVED:
        raise ValueError(f"`saved` must be 'before' or 'after', but is {saved!r}.")
    return saved
