"""The values that a parameter may have, and the number that stands for one."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._compute import one_program

Ends = Float[np.ndarray, "..."]


class Interval(eqx.Module):
    """The values between two ends, as images of all real numbers.

    Entry by entry an increasing map: `low + exp(x)` where there is a lower end,
    `high - exp(-x)` where there is an upper one, `low + (high - low) * sigmoid(x)`
    between two, and `x` itself where there is none.

    Attributes:
        low: The lower ends: a number, or nested tuples of them; minus infinity where
            there is none.
        high: The upper ends, likewise; infinity where there is none.

    Raises:
        ValueError: If an end is NaN, or the lower one is not below the upper.
    """

    low: Any = eqx.field(static=True)
    high: Any = eqx.field(static=True)

    def __init__(self, low: Any, high: Any):
        ends = []
        for name, end, absent in (("low", low, -np.inf), ("high", high, np.inf)):
            try:
                ends.append(np.asarray(absent if end is None else end, float))
            except (TypeError, ValueError, jax.errors.TracerArrayConversionError) as e:
                raise TypeError(
                    f"The end `{name}` of `support` must be a number or an array of "
                    f"them, known before JAX traces, but got {end!r}."
                ) from e
        if not np.all(ends[0] < ends[1]):
            raise ValueError(
                f"The ends of `support` must be in order, but got {low} and {high}."
            )
        self.low, self.high = (_as_tuples(end.tolist()) for end in ends)

    @one_program
    def value(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The values that unconstrained numbers stand for."""
        low, high = self._finite_ends(x)
        return self._by_ends(
            x,
            above=lambda x: low + jnp.exp(x),
            below=lambda x: high - jnp.exp(-x),
            between=lambda x: low + (high - low) * jax.nn.sigmoid(x),
        )

    def log_slope(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The logarithm of the derivative of `value`, entry by entry."""
        low, high = self._finite_ends(x)
        log_width = np.log(high - low)
        return self._by_ends(
            x,
            above=lambda x: x,
            below=lambda x: -x,
            between=lambda x: log_width - jax.nn.softplus(x) - jax.nn.softplus(-x),
            real=jnp.zeros_like,
        )

    @one_program
    def unconstrained(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The inverse of `value`: NaN outside, and finite at an end by rounding."""
        low, high = self._finite_ends(value)
        info = jnp.finfo(value.dtype)

        def log_distance(distance, end):
            least = np.maximum(8 * info.tiny, info.eps / 2 * np.abs(end))
            return jnp.log(jnp.where(distance < 0, jnp.nan, distance).clip(least))

        return self._by_ends(
            value,
            above=lambda v: log_distance(v - low, low),
            below=lambda v: -log_distance(high - v, high),
            between=lambda v: log_distance(v - low, low) - log_distance(high - v, high),
        )

    def has(self, value: Float[Array, "..."]) -> Bool[np.ndarray, "..."]:
        """Which known values are strictly inside."""
        known = np.asarray(value, float)
        return np.asarray((self.ends[0] < known) & (known < self.ends[1]))

    @property
    def ends(self) -> tuple[Ends, Ends]:
        """The two ends, in double precision."""
        return np.asarray(self.low, float), np.asarray(self.high, float)

    def __str__(self) -> str:
        return f"({self.low}, {self.high})"

    def _finite_ends(self, x: Array) -> tuple[Ends, Ends]:
        """The ends in the dtype of `x`, an infinite one as far as 1 from the other."""
        low, high = self.ends
        low = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0) - 1)
        high = np.where(np.isfinite(high), high, low + 1)
        return low.astype(x.dtype), high.astype(x.dtype)

    def _by_ends(
        self,
        x: Float[Array, "*shape"],
        *,
        above: Callable,
        below: Callable,
        between: Callable,
        real: Callable = lambda x: x,
    ) -> Float[Array, "*shape"]:
        """Apply to each entry the formula for the ends that it has."""
        has_low, has_high = (np.isfinite(end) for end in self.ends)
        cases = (
            (real, ~has_low & ~has_high),
            (above, has_low & ~has_high),
            (below, ~has_low & has_high),
            (between, has_low & has_high),
        )
        out = jnp.zeros_like(x)
        for formula, applies in cases:
            if applies.all():
                return formula(x)
            if applies.any():
                # Elsewhere a harmless number, so that no gradient is NaN.
                inside = jnp.broadcast_to(applies, x.shape)
                out = jnp.where(inside, formula(jnp.where(inside, x, 0)), out)
        return out


def as_support(support: Any) -> Interval | None:
    """Read what a user calls a support: nothing, `"positive"`, or two ends.

    Raises:
        TypeError: If it is something else.
        ValueError: If the ends are not in order.
    """
    if support is None or isinstance(support, Interval):
        return support
    if isinstance(support, str) and support == "positive":
        return Interval(0.0, np.inf)
    if isinstance(support, tuple) and len(support) == 2:
        interval = Interval(*support)
        has_end = any(np.isfinite(end).any() for end in interval.ends)
        return interval if has_end else None
    raise TypeError(
        "`support` must be 'positive', a pair of ends `(low, high)`, None where there "
        f"is none, or None for any real number, but got {support!r}."
    )


def _as_tuples(values: Any) -> Any:
    """Nested lists as nested tuples, which can be hashed."""
    return tuple(map(_as_tuples, values)) if isinstance(values, list) else values
