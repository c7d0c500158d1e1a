"""The times of a solve, counted from its start."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

from .._check import as_float_array, on_host, warn_user

KEEP_ONE = "`mask` must keep at least one time."
ONE_WAY = "`ts` must be strictly increasing or strictly decreasing"


class Span(eqx.Module):
    """What a solve runs through.

    Attributes:
        start: The time of `y0`; `(N,)` if each of `N` initial states has its own.
        elapsed: The times to save at since the start, of shape `(T,)` or `(N, T)`.
            Those that do not count are filled with the last before them that does.
        jump_ts: Where the vector field jumps, since the start, `(J,)` or `(N, J)`.
        is_valid: Whether the times run one way; where not, all of them are zero.
    """

    start: Float[Array, "..."]
    elapsed: Float[Array, "..."]
    jump_ts: Float[Array, "..."] | None
    is_valid: Bool[Array, "..."]

    @property
    def axes(self) -> Any:
        """Which of it has an axis of initial states, as `in_axes` of `jax.vmap`."""
        leaves, treedef = jax.tree.flatten(self)
        ndims = (0, 1, 0) if self.jump_ts is None else (0, 1, 1, 0)
        pairs = zip(leaves, ndims, strict=True)
        return treedef.unflatten([0 if x.ndim > ndim else None for x, ndim in pairs])


class UsersTime(eqx.Module):
    """From the time since the start to the time that the vector field is given.

    A step that ends at a jump ends one number before it, and far from zero must not be
    rounded to the other side.
    """

    start: Float[Array, ""]
    jump_ts: Float[Array, " J"] | None

    def __call__(self, t: Float[Array, ""]) -> Float[Array, ""]:
        time = self.start + t
        if self.jump_ts is None:
            return time
        jumps = lax.stop_gradient(self.start + self.jump_ts)
        latest = jnp.where(t < self.jump_ts, jnp.nextafter(jumps, -jnp.inf), jnp.inf)
        earliest = jnp.where(t > self.jump_ts, jnp.nextafter(jumps, jnp.inf), -jnp.inf)
        inside = jnp.clip(time, jnp.max(earliest), jnp.min(latest))
        return time + lax.stop_gradient(inside - time)


class Clock(eqx.Module):
    """Times as they were given, and since one that is near them.

    What is known outside of `jax.jit` stays in NumPy's double precision until it is
    counted from the start: days since 1970, or seconds, have more digits than float32.

    Attributes:
        ts: The times, of shape `(T,)` or `(N, T)`. Those that do not count are filled
            with the last before them that does, the first ones with the next.
        mask: Which of them count.
        reference: The time that is near, of shape `()` or `(N,)`.
        since: `ts` since then.
        jump_ts: Where the vector field jumps, since then.
        rows: Whether each of several initial states may have times of its own.
        was_known: Whether the times were known when they were read. Compiled code then
            need not look at them as closely again.
        start_was_known: Whether the start was, from which they are counted.
    """

    ts: Float[Array | np.ndarray, "..."]
    mask: Bool[Array | np.ndarray, "..."]
    reference: Float[Array | np.ndarray, "..."]
    since: Float[Array | np.ndarray, "..."]
    jump_ts: Float[Array | np.ndarray, "..."] | None
    rows: bool = eqx.field(static=True)
    was_known: bool = eqx.field(static=True)
    start_was_known: bool = eqx.field(static=True, default=True)

    def counted_from(self, t0: ArrayLike) -> "Clock":
        """The same times, counted from `t0`."""
        start = read_times(t0, "t0")
        _check_axes("t0", start, self.since, 0, self.rows)
        if not _all_known(start, self.reference):
            start = jnp.asarray(start, jax.dtypes.canonicalize_dtype(self.ts.dtype))
        lag = (self.reference - start)[..., None]
        jump_ts = None if self.jump_ts is None else self.jump_ts + lag
        return replace(
            self,
            reference=start,
            since=self.since + lag,
            jump_ts=jump_ts,
            start_was_known=self.was_known and _all_known(start),
        )

    def begin(self, t0: ArrayLike | None = None) -> Span:
        """As `run_from` counts, in JAX."""
        dtype = jax.dtypes.canonicalize_dtype(self.ts.dtype)
        *times, is_valid = self.run_from(t0)
        times = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), times)
        start, elapsed, jump_ts = times
        return Span(start, elapsed, jump_ts, jnp.asarray(is_valid))

    def run_from(self, t0: ArrayLike | None = None) -> tuple[Any, Any, Any, Any]:
        """What a `Span` holds, from `t0` or the first time, on the host where known.

        Raises:
            ValueError: If the times do not run one way from there. Where they are
                traced, `is_valid` is false instead.
        """
        if t0 is None:
            start, clock = self.reference, self
            has_start, least = self.mask[..., 0], 2
        else:
            clock = self.counted_from(t0)
            start, has_start, least = clock.reference, True, 1
        elapsed, mask = clock.since, clock.mask
        dtype = jax.dtypes.canonicalize_dtype(self.ts.dtype)
        known = _all_known(elapsed, mask)
        xp = np if known else jnp
        if self.was_known and not known:
            elapsed = _from_zero(elapsed, mask)
            is_valid = _runs_one_way(elapsed)
            start = jnp.where(is_valid, start, 0)
            elapsed = jnp.where(is_valid[..., None], elapsed, 0)
            return start, elapsed, clock.jump_ts, is_valid
        elapsed = _fill(elapsed, mask, before=0.0)
        steps = xp.diff(elapsed, axis=-1, prepend=xp.zeros_like(elapsed[..., :1]))
        # The first time may be that of the start.
        is_first = mask & (xp.cumsum(mask, axis=-1) == 1)
        idle = ~mask | (is_first & (steps == 0))
        enough = has_start & (xp.sum(mask, axis=-1) >= least)
        finite = xp.all(xp.isfinite(elapsed), axis=-1)
        one_way = xp.all(idle | (steps > 0), -1) | xp.all(idle | (steps < 0), -1)
        is_valid = enough & finite & one_way
        if known and not np.all(is_valid):
            if not np.all(enough):
                raise ValueError(_too_few(t0))
            raise ValueError(_not_one_way(self.ts, start, steps, is_first, idle))
        if known and np.any(np.diff(elapsed.astype(dtype))[~idle[..., 1:]] == 0):
            raise ValueError(
                f"{dtype} cannot tell some of `ts` apart, counted from the start. Use "
                "double precision, `jax.config.update('jax_enable_x64', True)`, or "
                "solve in parts, each from a start of its own."
            )
        if not known:
            start = jnp.where(is_valid, start, 0)
            elapsed = jnp.where(is_valid[..., None], elapsed, 0)
        return start, elapsed, clock.jump_ts, is_valid


def read_clock(
    ts: ArrayLike,
    mask: ArrayLike | None = None,
    jump_ts: ArrayLike | None = None,
    *,
    least: int = 2,
    rows: bool = False,
) -> Clock:
    """Read at least `least` times, on the host if they are known there.

    If `rows`, `ts` and `jump_ts` may have a row for each initial state.
    """
    times = read_times(ts, "ts")
    _check_axes("ts", times, times, 1, rows)
    if times.shape[-1] < least:
        number = "one time" if least == 1 else "two times"
        raise ValueError(
            f"`ts` must be at least {number}, but has shape {times.shape}. The first "
            "is that of `y0`, if no `t0` is given."
        )
    keep = np.ones(times.shape, bool) if mask is None else mask
    keep = on_host(keep)
    if keep.shape != times.shape or keep.dtype != bool:
        raise ValueError(
            f"`mask` must be boolean in the shape of `ts`, {times.shape}, but has "
            f"dtype {keep.dtype} and shape {keep.shape}."
        )
    # A time that does not count may be NaN.
    counts = np.isfinite(times) if _all_known(times) else keep
    reference = _first(times, counts)
    since = _minus(times, reference)
    jumps = None
    if jump_ts is not None:
        jumps = read_times(jump_ts, "jump_ts")
        _check_axes("jump_ts", jumps, times, 1, rows)
        jumps = _minus(jumps, reference) if jumps.shape[-1] else None
    filled = times if mask is None else _fill(times, keep, _first(times, keep))
    if mask is not None:
        since = _fill(since, keep, _first(since, keep))
    was_known = _all_known(since, keep)
    if was_known and not np.all(np.any(keep, axis=-1)):
        raise ValueError(KEEP_ONE)
    return Clock(filled, keep, reference[..., 0], since, jumps, rows, was_known)


def warn_of_early_start(clock: Clock) -> None:
    """Warn where times without a `t0` look as if something came before the first."""
    if not _all_known(clock.reference, clock.since):
        return
    first, length = np.min(clock.reference), np.max(clock.since)
    if 0 < first < 10 * length:
        warn_user(
            f"`t0` is not given, so that `y0` is taken for the state at {first:g}, the "
            f"first of `ts`, and not at zero. Say which it is: `t0={first:g}`, or "
            "`t0=0.0` if the first sample comes after the start."
        )


def check_times(ts: ArrayLike) -> Float[Array | np.ndarray, " T"]:
    """The times; a `ValueError` if they are known and do not run one way."""
    clock = read_clock(ts)
    clock.run_from()
    return clock.ts


def read_times(value: Any, name: str) -> Float[Array | np.ndarray, "..."]:
    """Times as floats: in NumPy where they are known, in JAX where they are traced.

    Raises:
        TypeError: If `value` is not made of real numbers.
    """
    leaves = jax.tree.leaves(value)
    if not _all_known(*leaves) or any(isinstance(leaf, jax.Array) for leaf in leaves):
        return on_host(as_float_array(value, name))
    times = np.asarray(value)
    if jnp.issubdtype(times.dtype, jnp.floating):
        return times
    if np.issubdtype(times.dtype, np.datetime64):
        raise TypeError(
            f"`{name}` must be numbers, but has dtype {times.dtype}. Count from a date "
            "in a unit: `(times - times[0]) / np.timedelta64(1, 'D')`."
        )
    as_float_array(value, name)  # says what is wrong, if it is no integer
    return times.astype(np.float64)


def _check_axes(name: str, times: Any, ts: Any, ndim: int, rows: bool) -> None:
    """Check for `ndim` axes, or for one more before them, of the size of `ts`."""
    axes = "one number" if ndim == 0 else "times in one axis"
    if times.ndim != ndim and not (rows and times.ndim == ndim + 1):
        raise ValueError(
            f"`{name}` must be {axes}, but has shape {times.shape}. With "
            "`batched=True`, and steps that are not shared, it may have a row for each "
            "initial state."
        )
    if times.ndim > ndim and ts.ndim > 1 and len(times) != len(ts):
        raise ValueError(
            f"`{name}` has {len(times)} rows and `ts` {len(ts)}. They must be equal, "
            "one row for each initial state."
        )


def _all_known(*arrays: Any) -> bool:
    return not any(isinstance(array, Tracer) for array in arrays)


def _minus(times: Any, reference: Any) -> Any:
    """The difference, in double precision where both are known."""
    if _all_known(times, reference):
        return times.astype(np.float64) - reference.astype(np.float64)
    dtype = jax.dtypes.canonicalize_dtype(reference.dtype)
    return jnp.asarray(times, dtype) - jnp.asarray(reference, dtype)


def _first(times: Any, counts: Any) -> Any:
    """The first time of each row that counts, with an axis of one."""
    xp: Any = np if _all_known(times, counts) else jnp
    place = xp.argmax(counts, axis=-1)[..., None]
    return xp.take_along_axis(times, place, axis=-1)


def _fill(times: Any, counts: Any, before: Any) -> Any:
    """Replace times that do not count by the last before that does, or by `before`."""
    xp: Any = np if _all_known(times, counts) else jnp
    places = xp.where(counts, xp.arange(times.shape[-1]), -1)
    places = xp.broadcast_to(places, times.shape)
    if xp is np:
        latest = np.maximum.accumulate(places, axis=-1)
    else:
        latest = lax.cummax(jnp.asarray(places), axis=places.ndim - 1)
    filled = xp.take_along_axis(times, xp.maximum(latest, 0), axis=-1)
    return xp.where(latest < 0, before, filled)


def _from_zero(elapsed: Any, mask: Any) -> Float[Array, "*N T"]:
    """Filled times, with zero for those before the first that counts."""
    first = jnp.argmax(mask, axis=-1)[..., None]
    return jnp.where(jnp.arange(elapsed.shape[-1]) < first, 0, elapsed)


def _runs_one_way(elapsed: Float[Array, "*N T"]) -> Bool[Array, "*N"]:
    """Whether times run one way from zero, where they may repeat as fillings do."""
    steps = jnp.diff(elapsed, axis=-1, prepend=jnp.zeros_like(elapsed[..., :1]))
    return jnp.all(steps >= 0, axis=-1) | jnp.all(steps <= 0, axis=-1)


def _too_few(t0: Any) -> str:
    if t0 is not None:
        return KEEP_ONE
    return (
        "`mask` must keep the first time, which is that of `y0`, and at least one "
        "more. If `y0` is the state at another time, pass that as `t0`."
    )


def _not_one_way(ts: Any, start: Any, steps: Any, is_first: Any, idle: Any) -> str:
    """What is wrong with times that are known."""
    if not np.all(np.isfinite(steps)):
        return (
            f"{ONE_WAY}, without NaN and infinity, and so must `t0` be a number. Leave "
            "padding out with `mask`."
        )
    repeats = ~idle & (steps == 0)
    if np.any(repeats):
        repeated = np.broadcast_to(ts, repeats.shape)[repeats][0]
        return (
            f"{ONE_WAY}, but {repeated} ({repeated.dtype}) occurs more than once. "
            "Average replicates, or solve at the unique times and index: "
            "`times, index = np.unique(ts, return_inverse=True)`, then `ys[index]`."
        )
    later = np.where(is_first, 0.0, steps)
    turns = np.any(later > 0, axis=-1) & np.any(later < 0, axis=-1)
    if np.any(turns):
        return f"{ONE_WAY}. Sort them, with the data; leave padding out with `mask`."
    return (
        f"`t0` must lie before all of `ts`, or after all of them to solve backwards, "
        f"but is {start} for `ts` from {ts[..., 0]} to {ts[..., -1]}."
    )
