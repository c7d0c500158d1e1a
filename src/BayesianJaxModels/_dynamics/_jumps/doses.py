"""Amounts that are given at known times, at once or for a while."""

from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..._check import as_float_array, on_host
from .base import AbstractJumps, check_saved, read_jump_times

# By how much of the time between two doses the first may last over, as sums of decimal
# numbers do.
ROUNDING = 1e-6


class Doses(AbstractJumps):
    """Amounts that come into a compartment of the state: boluses and infusions.

    Args:
        times: When, in order: one number, `(J,)`, or with `batched=True` a row for each
            initial state. NaN, behind them, is padding.
        amounts: How much, in the unit of the state; one for all or in the shape of
            `times`. Gradients reach them.
        into: The compartment: an index into the last axis of the state; the name of a
            part, where the state is a dictionary or a named tuple; `None` of a state
            that is one number.
        duration: How long each takes to come in, at an even rate; 0 where it comes at
            once, as all do if `None`.
        every: The interval at which one dose is repeated.
        number: How often it is given then.
        saved: Whether a saved time at which a dose is given has the state `"before"` or
            `"after"` it.

    Attributes:
        ends: When infusions end; `None` if all come at once.
        was_known: As in `AbstractJumps`.

    Raises:
        TypeError: If an argument is not made of real numbers.
        ValueError: If times are not in order, infusions overlap, a duration is
            negative, or shapes do not fit.

    Example:
        ```python
        class Kinetics(bjm.AbstractVectorField):
            rates: bjm.AbstractParameter  # of absorption and elimination, per hour

            def __call__(self, t, y, args):
                absorption, elimination = self.rates.value
                gut, blood = y
                into_blood = absorption * gut
                return jnp.stack([-into_blood, into_blood - elimination * blood])

        twice_a_day = bjm.Doses(0.0, 100.0, into=0, every=12.0, number=2)
        ts = np.array([6.0, 18.0])
        solve = bjm.Solve(ts, t0=0.0, y0=np.zeros(2), jumps=twice_a_day)
        solve(Kinetics(bjm.make_parameter([1.0, 0.1]))).ys[:, 1]  # [60.7, 79.1]
        ```
    """

    times: Float[Array | np.ndarray, "..."]
    amounts: Float[Array | np.ndarray, "..."]
    ends: Any
    into: Any = eqx.field(static=True)
    saved: str = eqx.field(static=True)
    was_known: bool = eqx.field(static=True)

    def __init__(
        self,
        times: Any,
        amounts: Any,
        into: Any = None,
        *,
        duration: Any = None,
        every: float | None = None,
        number: Any = None,
        saved: str = "before",
    ):
        if (every is None) != (number is None):
            raise ValueError(
                "`every` and `number` go together: every 12 hours, 14 times."
            )
        if every is not None and number is not None:
            if np.ndim(times) or not every > 0 or number < 1 or int(number) != number:
                raise ValueError(
                    "`every` repeats one dose: `times` must be one number, `every` "
                    "above 0 and `number` a whole one, at least 1, but got "
                    f"{times}, {every} and {number}."
                )
            times = times + every * np.arange(number)
        if isinstance(into, np.integer):
            into = int(into)
        if isinstance(into, bool) or not isinstance(into, int | str | None):
            raise TypeError(
                "`into` must be an index or the name of a part of the state, but is "
                f"{into!r}."
            )
        self.times, known = read_jump_times(times)
        if np.size(amounts) == 0 and np.all(np.isnan(self.times)):
            amounts = 0.0  # of none
        self.amounts = _as_many("amounts", amounts, self.times.shape)
        self.ends, self.into, self.saved = None, into, check_saved(saved)
        self.was_known = known
        if duration is not None:
            duration = _as_many("duration", duration, self.times.shape)
            self.was_known = known and not isinstance(duration, Tracer)
            if self.was_known:
                duration = _read_durations(np.asarray(self.times), duration)
            self.ends = self.times + duration
        if known and not isinstance(self.amounts, Tracer):
            bad = ~np.isfinite(self.amounts) & np.isfinite(self.times)
            if np.any(bad):
                raise ValueError(
                    f"`amounts` must be finite, but at {self.times[bad][0]:g} it is "
                    f"{self.amounts[bad][0]}."
                )

    def jump(self, now, t, y, args):
        at_once = now if self.ends is None else now & ~(self._flowing() > 0)
        return self._add(y, jnp.sum(jnp.where(at_once, self.amounts, 0)))

    @property
    def stops(self):
        if self.ends is None:
            return self.times
        xp = np if isinstance(self.times + self.ends, np.ndarray) else jnp
        return xp.concatenate([self.times, self.ends], axis=-1)

    def slope(self, t, y):
        if self.ends is None:
            return None
        flows = (self.times <= t) & (t < self.ends)
        rate = jnp.sum(jnp.where(flows, self._rates(), 0))
        return self._add(jax.tree.map(jnp.zeros_like, y), rate)

    def moved(self, is_now, y):
        if self.ends is None:
            return y
        amount = 0
        for times, sign in ((self.times, -1), (self.ends, 1)):
            known = jnp.where(jnp.isnan(times), 0, times)  # as padding is none
            later = known - lax.stop_gradient(known)
            amount += sign * jnp.where(is_now(times), self._rates() * later, 0)
        return self._add(y, jnp.sum(amount))

    def timed(self, change):
        ends = None if self.ends is None else change(self.ends)
        return eqx.tree_at(
            lambda doses: (doses.times, doses.ends),
            self,
            (change(self.times), ends),
            is_leaf=lambda node: node is None,
        )

    @property
    def are_possible(self):
        if self.ends is None:
            return jnp.array(True)
        return jnp.all(~(self.ends < self.times))

    def _rates(self) -> Array:
        """Of infusions, zero for what comes at once."""
        lasts = self._flowing()
        flows = lasts > 0
        return jnp.where(flows, self.amounts, 0) / jnp.where(flows, lasts, 1)

    def _flowing(self) -> Array:
        """How long each flows into a solve, which is what all of it has to come in.

        Steps end one number before its start and its end, and go on one number after.
        """
        start, end = jnp.asarray(self.times), jnp.asarray(self.ends)
        begun = jnp.where(start > 0, eqxi.nextafter(start), start)
        skipped = begun - start + end - eqxi.prevbefore(end)
        return end - start - lax.stop_gradient(skipped)

    def check(self, y):
        parts = _parts(y)
        if parts is not None:
            if self.into not in parts:
                raise ValueError(
                    f"`into` is {self.into!r}, but the parts of the state are "
                    f"{list(parts)}."
                )
            return
        if not isinstance(y, jax.Array | jax.ShapeDtypeStruct | np.ndarray):
            raise ValueError(
                f"A dose comes into an array, a dictionary or a named tuple, but the "
                f"state is a {type(y).__name__}. Write `Jumps(times, apply)` for it."
            )
        shape, into = jnp.shape(y), self.into
        if into is None and shape != ():
            raise ValueError(
                f"`into` must say which of {shape[-1]} compartments a dose comes into, "
                f"for a state of shape {shape}."
            )
        if into is not None and not (
            isinstance(into, int) and shape and -shape[-1] <= into < shape[-1]
        ):
            number = shape[-1] if shape else "one number and no"
            raise ValueError(
                f"`into` is {into!r}, but the state has {number} compartments, counted "
                "from 0."
            )

    def _add(self, y: PyTree, amount: Array) -> PyTree:
        parts = _parts(y)
        if parts is not None:
            return _with_part(y, self.into, parts[self.into] + amount)
        return y + amount if self.into is None else y.at[..., self.into].add(amount)


def _as_many(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """Numbers in the shape of the times, in NumPy where they are known."""
    found = on_host(as_float_array(given, name))
    xp = np if isinstance(found, np.ndarray) else jnp
    try:
        return xp.broadcast_to(found, shape)
    except ValueError:
        raise ValueError(
            f"`{name}` must be one number or have the shape of `times`, {shape}, but "
            f"has shape {found.shape}."
        ) from None


def _read_durations(times: np.ndarray, duration: Any) -> np.ndarray:
    """Durations that are possible, without overlaps that only rounding makes."""
    duration = np.array(duration, np.float64)
    rows = np.atleast_2d(times), np.atleast_2d(duration)
    for row, lasts in zip(*rows, strict=True):
        kept = ~np.isnan(row)
        begin, long = row[kept], lasts[kept]
        if not np.all(np.isfinite(long) & (long >= 0)):
            place = int(np.argmax(~(np.isfinite(long) & (long >= 0))))
            raise ValueError(
                f"`duration` must be finite and not negative, but that of the dose at "
                f"{begin[place]:g} is {long[place]:g}."
            )
        apart = np.diff(begin)
        over = long[:-1] - apart
        if np.any(over > ROUNDING * apart):
            place = int(np.argmax(over > ROUNDING * apart))
            raise ValueError(
                f"Doses overlap: that at {begin[place]:g} lasts until "
                f"{begin[place] + long[place]:g}, and the next begins at "
                f"{begin[place + 1]:g}. Give them apart, `jumps=(one, other)`, if they "
                "are meant to."
            )
        long[:-1] = np.where(over > 0, apart, long[:-1])
        lasts[kept] = long
    return duration


def _parts(y: PyTree) -> dict[str, Any] | None:
    """The parts of a state by name, or `None` of one array."""
    if isinstance(y, dict):
        return y
    names = getattr(y, "_fields", None)
    return None if names is None else dict(zip(names, y, strict=True))


def _with_part(y: Any, name: Any, part: Any) -> Any:
    return {**y, name: part} if isinstance(y, dict) else y._replace(**{name: part})
