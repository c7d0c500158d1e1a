"""A summary of more draws than memory holds."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .arrays import as_trajectory
from .summary import (
    PROBS,
    Summary,
    check_any_left,
    check_levels,
    read_draws,
    share_running,
)


class RunningSummary:
    """A summary of chunks of draws that never holds them all.

    Means and standard deviations are exact to rounding, in float64 (the pairwise update
    of Chan, Golub and LeVeque, 1983). Quantiles are counted on a grid and are within
    one bin's width of those of `summarise`; outside the grid they are its end, with a
    warning. There are no highest-density intervals.

    Args:
        grid: `(low, high, num_bins)`: numbers, or pytrees like `ys` that broadcast to
            `(..., T, *state)`, and how many bins of equal width lie between them, of 8
            bytes per entry each. `None` for no quantiles.

    Raises:
        ValueError: If `grid` has no bin.

    Example:
        ```python
        def solve(drawn):
            ts = jnp.linspace(0.0, 2.0, 3)
            return bjm.integrate(lambda t, y, k: -k * y, 1.0, ts, args=drawn.mean)

        rate = bjm.make_parameter(0.5, init_raw_stdv=0.3)
        draws = {"key": jax.random.key(0), "num_samples": 1_000}
        running = bjm.RunningSummary(grid=(0.0, 2.0, 1_000))
        for _, chunk in bjm.stream_posterior(solve, rate, **draws):
            running.update(chunk)
        running.summary().mean  # [1.0, 0.61, 0.37]
        ```
    """

    def __init__(self, grid: tuple[Any, Any, int] | None = None):
        if grid is not None and grid[2] < 1:
            raise ValueError(f"`grid` must have at least 1 bin, but has {grid[2]}.")
        self._grid = grid
        self._layout = None

    def update(self, chunk: Any) -> None:
        """Take in draws, a trajectory or arrays as `summarise` takes them.

        Args:
            chunk: Draws without weights; all may have failed.

        Raises:
            TypeError: If `chunk` is neither.
            ValueError: If the times, structure or shapes differ from those before, the
                grid does not fit them, or the draws have weights.
        """
        chunk = as_trajectory(chunk)
        layout, succeeded, used, leaves = read_draws(chunk)
        if chunk.weights is not None:
            raise ValueError(
                "`chunk` has weights, which a running summary does not take. Draw with "
                "a number in `num_samples`: then draws are picked in proportion to the "
                "weights and count alike. Or give all draws to `summarise`."
            )
        if self._layout is None:
            if self._grid is not None:
                self._low, self._high = (
                    layout.flatten(end, "grid") for end in self._grid[:2]
                )
                if not np.all(self._low < self._high):
                    raise ValueError("`grid` must have its low end below its high end.")
                self._bins = np.zeros((len(self._low), self._grid[2] + 2), int)
            self._layout, self._num_draws = layout, 0
            self._num_failed, self._num_used = np.array(0), np.array(0)
            self._count, self._mean, self._squares = 0, np.float64(0), np.float64(0)
        elif not layout.is_like(self._layout):
            raise ValueError(
                "`chunk` must be like the chunks before it, which have shapes "
                f"{self._layout.shapes} without the draws, but it has {layout.shapes} "
                "or other times or another structure."
            )
        self._num_used = self._num_used + used.sum(axis=0)
        used = used.reshape(len(used), -1)
        used = np.concatenate(
            [used.repeat(leaf.shape[1] // used.shape[1], axis=1) for leaf in leaves], 1
        )
        values = np.where(used, np.concatenate(leaves, axis=1, dtype=float), 0)
        count = used.sum(axis=0)
        mean = values.sum(axis=0) / np.maximum(count, 1)
        delta, share = mean - self._mean, count / np.maximum(self._count + count, 1)
        self._squares = self._squares + np.where(used, (values - mean) ** 2, 0).sum(0)
        self._squares += delta**2 * share * self._count
        self._mean = self._mean + delta * share
        self._count = self._count + count
        self._num_draws += len(succeeded)
        self._num_failed = np.asarray(self._num_failed + (~succeeded).sum(axis=0))
        if self._grid is not None:
            # The first and the last bin count what lies outside.
            num_bins = self._grid[2]
            bins = (values - self._low) * (num_bins / (self._high - self._low))
            bins = np.clip(bins, 0, num_bins - 1).astype(int) + 1
            bins[values < self._low] = 0
            bins[values > self._high] = num_bins + 1
            bins += (num_bins + 2) * np.arange(len(count))
            np.add.at(self._bins.reshape(-1), bins[used], 1)

    def summary(
        self, probs: Sequence[float] = PROBS, *, interval_mass: float = 0.9
    ) -> Summary:
        """Summarise all draws so far.

        Args:
            probs: The probabilities of the quantiles, each in (0, 1).
            interval_mass: The mass in the equal-tailed interval, in (0, 1).

        Returns:
            A `Summary` without highest-density intervals, and without quantiles and
            equal-tailed intervals if there is no grid.

        Raises:
            ValueError: If there are no draws yet, or `probs` or `interval_mass` is not
                as above.
            AllFailedError: If all draws failed.
        """
        levels = check_levels(probs, interval_mass)
        layout = self._layout
        if layout is None:
            raise ValueError("There are no draws to summarise: call `update` first.")
        num_solves = self._num_draws * self._num_failed.size
        check_any_left(int(self._num_failed.sum()), num_solves)
        num_good = np.asarray(self._num_draws - self._num_failed)
        count = np.where(self._count > 0, self._count, np.nan)
        quantiles = equal_tailed = num_outside = None
        if self._grid is not None:
            *rows, low, high = self._quantiles(levels)
            quantiles = layout.unflatten(np.stack(rows))
            equal_tailed = (layout.unflatten(low), layout.unflatten(high))
            num_outside = layout.unflatten(self._bins[:, 0] + self._bins[:, -1])
        return Summary(
            ts=layout.ts,
            mean=layout.unflatten(np.where(self._count > 0, self._mean, np.nan)),
            stdv=layout.unflatten(np.sqrt(self._squares / count)),
            probs=tuple(probs),
            quantiles=quantiles,
            interval_mass=interval_mass,
            equal_tailed=equal_tailed,
            highest_density=None,
            num_used=self._num_used,
            share_running=share_running(num_good[..., None] - self._num_used, num_good),
            num_draws=self._num_draws,
            num_failed=self._num_failed,
            num_outside=num_outside,
        )

    def _quantiles(self, levels: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k m"]:
        """As `summarise` has them, with every draw placed somewhere in its bin."""
        bins, count, low, high = self._bins, self._count, self._low, self._high
        up_to, last = bins.cumsum(axis=1), bins.shape[1] - 1

        def draw(rank):
            place = np.minimum((up_to <= rank[:, None]).sum(axis=1), last)
            inside = bins[np.arange(len(bins)), place]
            before = up_to[np.arange(len(bins)), place] - inside
            share = place - 1 + (rank - before + 0.5) / np.maximum(inside, 1)
            share = np.where(place == 0, 0, np.where(place == last, last - 1, share))
            value = low + (high - low) * (share / (last - 1))
            return value, (place == 0) | (place == last)

        quantiles, num_outside = np.full((len(levels), len(bins)), np.nan), 0
        for i, level in enumerate(levels):
            position = level * np.maximum(count - 1, 0)
            rank = np.floor(position).astype(int)
            start, start_outside = draw(rank)
            end, end_outside = draw(np.minimum(rank + 1, np.maximum(count - 1, 0)))
            end_outside &= position > rank
            outside = (start_outside | end_outside) & (count > 0)
            num_outside += int(outside.sum())
            value = start + (position - rank) * (end - start)
            quantiles[i] = np.where(count > 0, value, np.nan)
        if num_outside:
            warnings.warn(
                f"{num_outside:,} of {quantiles.size:,} quantiles lie outside the grid "
                f"({low.min():g} to {high.max():g}) and are given as its ends. Widen "
                "`grid`.",
                stacklevel=3,
            )
        return quantiles
