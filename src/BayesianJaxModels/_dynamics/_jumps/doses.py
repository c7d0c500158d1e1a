"""Amounts that are given at known times, at once or for a while."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..._check import as_float_array, on_host
from .base import AbstractJumps, check_saved, read_jump_times


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
    duration: Any
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
        number: int | None = None,
        saved: str = "before",
    ):
        if (every is None) != (number is None):
            raise ValueError(
                "`every` and `number` go together: every 12 hours, 14 times."
            )
        if every is not None and number is not None:
            if np.ndim(times) != 0 or not every > 0 or number < 1:
                raise ValueError(
                    "`every` repeats one dose: `times` must be one number, `every` "
                    f"above 0 and `number` at least 1, but got {times}, {every} and "
                    f"{number}."
                )
            times = times + every * np.arange(number)
        if isinstance(into, bool) or not isinstance(into, int | str | None):
            raise TypeError(
                "`into` must be an index or the name of a part of the state, but is "
                f"{into!r}."
            )
        self.times, known = read_jump_times(times)
        self.amounts = _as_many("amounts", amounts, self.times.shape)
        self.duration, self.into, self.saved = None, into, check_saved(saved)
        if duration is not None:
            self.duration = _as_many("duration", duration, self.times.shape)
        self.was_known = known and not isinstance(self.duration, Tracer)
        if self.was_known:
            _check_known(np.asarray(self.times), self.duration)
        if known and not isinstance(self.amounts, Tracer):
            bad = ~np.isfinite(self.amounts) & np.isfinite(self.times)
            if np.any(bad):
                raise ValueError(
                    f"`amounts` must be finite, but at {self.times[bad][0]:g} it is "
                    f"{self.amounts[bad][0]}."
                )

    def jump(self, now, t, y, args):
        at_once = now if self.duration is None else now & ~(self.duration > 0)
        return self._add(y, jnp.sum(jnp.where(at_once, self.amounts, 0)))

    @property
    def stops(self):
        if self.duration is None:
            return self.times
        xp = np if isinstance(self.times + self.duration, np.ndarray) else jnp
        ends = xp.where(self.duration > 0, self.times + self.duration, np.nan)
        return xp.concatenate([self.times, ends], axis=-1)

    def slope(self, t, y):
        if self.duration is None:
            return None
        flows = (self.times <= t) & (t < self.times + self.duration)
        rate = jnp.sum(jnp.where(flows, self._rates(), 0))
        return self._add(jax.tree.map(jnp.zeros_like, y), rate)

    def moved(self, is_now, y):
        if self.duration is None:
            return y
        amount = 0
        for times, sign in ((self.times, -1), (self.times + self.duration, 1)):
            known = jnp.where(jnp.isnan(times), 0, times)  # as padding is none
            later = known - lax.stop_gradient(known)
            amount += sign * jnp.where(is_now(times), self._rates() * later, 0)
        return self._add(y, jnp.sum(amount))

    def _rates(self) -> Array:
        """Of infusions, zero for what comes at once."""
        lasts = self.duration > 0
        return jnp.where(lasts, self.amounts, 0) / jnp.where(lasts, self.duration, 1)

    def check(self, y):
        parts = _parts(y)
        if parts is not None:
            if self.into not in parts:
                raise ValueError(
                    f"`into` is {self.into!r}, but the parts of the state are "
                    f"{list(parts)}."
                )
            return
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


def _check_known(times: np.ndarray, duration: Any) -> None:
    if duration is None:
        return
    for row, lasts in zip(np.atleast_2d(times), np.atleast_2d(duration), strict=True):
        kept = ~np.isnan(row)
        row, lasts = row[kept], lasts[kept]
        if not np.all(np.isfinite(lasts) & (lasts >= 0)):
            place = int(np.argmax(~(np.isfinite(lasts) & (lasts >= 0))))
            raise ValueError(
                f"`duration` must be finite and not negative, but that of the dose at "
                f"{row[place]:g} is {lasts[place]:g}."
            )
        overlaps = row[:-1] + lasts[:-1] > row[1:]
        if np.any(overlaps):
            place = int(np.argmax(overlaps))
            raise ValueError(
                f"Doses overlap: that at {row[place]:g} lasts until "
                f"{row[place] + lasts[place]:g}, and the next begins at "
                f"{row[place + 1]:g}. Give them apart, `jumps=(one, other)`, if they "
                "are meant to."
            )


def _parts(y: PyTree) -> dict[str, Any] | None:
    """The parts of a state by name, or `None` of one array."""
    if isinstance(y, dict):
        return y
    names = getattr(y, "_fields", None)
    return None if names is None else dict(zip(names, y, strict=True))


def _with_part(y: Any, name: Any, part: Any) -> Any:
    return {**y, name: part} if isinstance(y, dict) else y._replace(**{name: part})
