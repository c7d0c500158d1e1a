"""Summaries of many draws of a trajectory: moments, quantiles and failures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Num, PyTree, Shaped

from .._check import AllFailedError
from .._dynamics import Trajectory
from .arrays import as_trajectory
from .prediction import Prediction, series_of
from .weighted import effective_sample_size, read_weights, summarise_weighted

PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)
# Sorting copies this many values at a time.
_BLOCK_SIZE = 1 << 22


class Summary(eqx.Module):
    """The posterior of a trajectory, entry by entry, in NumPy arrays.

    `(...)` stands for the batch axes after the draws, for example initial states; there
    are none if every draw was solved once. A draw that failed for one initial state is
    left out for that one only, and one that an event ended is left out of the times
    after that: statistics are of the draws still running, `share_running` of them.
    Where no draw is left, they are NaN.

    Attributes:
        ts: The times, of shape `(T,)`, or `(..., T)` if they differ within the batch.
        mean: The posterior mean, leaves of shape `(..., T, *state)`, in the unit of the
            state, as all below that are like it.
        stdv: The posterior standard deviation, like `mean`: that of the draws
            (`ddof=0`), which stand for the posterior.
        probs: The probabilities of `quantiles`.
        quantiles: Leaves of shape `(len(probs), ..., T, *state)`, linear between draws,
            each of which stands in the middle of its weight if they are weighted;
            `None` from a `RunningSummary` without a grid.
        interval_mass: The posterior mass in either interval.
        equal_tailed: `(low, high)`, each like `mean`, as much mass below as above;
            `None` where `quantiles` is.
        highest_density: `(low, high)`, each like `mean`: the shortest interval that
            holds `interval_mass` of the draws; `None` from a `RunningSummary`.
        num_used: How many draws each time rests on, of shape `(..., T)`: all but those
            that failed and those that an event had ended by then.
        share_running: Of the draws that succeeded, the share that no event had ended by
            each time, of shape `(..., T)`; of their weight, if they have weights.
        num_draws: How many draws there were, failed ones included.
        num_failed: How many of them failed, of shape `(...)`.
        num_outside: How many values lie outside a running summary's grid, like `mean`;
            `None` without one.
        effective_sample_size: Of weighted draws, how many with equal weights are worth
            as much, of shape `(...)`: `sum(w)**2 / sum(w**2)` over those that
            succeeded. `None` of draws without weights.

    Example:
        ```python
        ts, rates = jnp.linspace(0.0, 2.0, 3), jnp.linspace(0.4, 0.6, 101)

        def solve(rate):
            return bjm.integrate(lambda t, y, rate: -rate * y, 1.0, ts, args=rate)

        summary = bjm.summarise(jax.jit(jax.vmap(solve))(rates))
        summary.mean  # [1.0, 0.61, 0.37]
        summary.quantiles.shape  # (5, 3)
        summary.num_failed  # 0
        ```
    """

    ts: Float[np.ndarray, "..."]
    mean: PyTree[Float[np.ndarray, "..."]]
    stdv: PyTree[Float[np.ndarray, "..."]]
    probs: tuple[float, ...] = eqx.field(static=True)
    quantiles: PyTree
    interval_mass: float = eqx.field(static=True)
    # `None` too, as told above; `Any` lets type checkers unpack them.
    equal_tailed: tuple[PyTree, PyTree] | Any
    highest_density: tuple[PyTree, PyTree] | Any
    num_used: Int[np.ndarray, "..."]
    share_running: Float[np.ndarray, "..."]
    num_draws: int = eqx.field(static=True)
    num_failed: Int[np.ndarray, "..."]
    num_outside: PyTree = None
    effective_sample_size: Float[np.ndarray, "..."] | None = None

    @property
    def failed_fraction(self) -> Float[np.ndarray, "..."]:
        """The share of draws that failed, of shape `(...)`."""
        return np.asarray(self.num_failed / self.num_draws)

    def __repr__(self) -> str:
        solves = self.num_draws * self.num_failed.size
        failed = int(self.num_failed.sum())
        batch = self.num_failed.shape
        words = f"Summary of {self.num_draws:,} draws"
        words += f" for each of a batch {batch}" if batch else ""
        if self.effective_sample_size is not None:
            least = float(self.effective_sample_size.min())
            words += f", weighted, effective sample size {least:,.0f}"
        words += f"; {failed:,} of {solves:,} solves failed"
        if failed:
            words += f" ({100 * failed / solves:.3g} %) and are left out"
        words += f"; {self.ts.shape[-1]} times from {self.ts.min():g} to "
        words += f"{self.ts.max():g}, mean of shape {jax.tree.map(np.shape, self.mean)}"
        if np.any(self.share_running < 1):
            last = self.share_running[..., -1]
            least, most = np.nanmin(last), np.nanmax(last)
            words += f"; at the last time {100 * least:.3g} "
            words += f"to {100 * most:.3g} " if least < most else ""
            words += "% of the draws still run: events ended the others"
        if np.any(self.num_used == 0):
            words += "; NaN where no draw is left"
        if self.quantiles is None:
            words += "; no quantiles without a grid"
        outside = sum(leaf.sum() for leaf in jax.tree.leaves(self.num_outside))
        return words + (f"; {outside:,} values outside the grid" if outside else "")


def summarise(
    trajectory: Any,
    probs: Sequence[float] = PROBS,
    *,
    interval_mass: float = 0.9,
    ts: Any = None,
    of: str = "observables",
) -> Any:
    """Summarise draws of a trajectory, on the host.

    Args:
        trajectory: A `Trajectory` whose first axis is posterior draws: `ys` has leaves
            of shape `(num_draws, ..., T, *state)`. Its `weights` count if it has some.
            Or a `Prediction`. Or an array of draws of shape `(num_draws, T, ...)`, or
            several in a dictionary, tuple or list: a draw that is not finite somewhere
            failed.
        probs: The probabilities of the quantiles, each in (0, 1).
        interval_mass: The mass in the two kinds of intervals, in (0, 1).
        ts: The times of arrays, of shape `(T,)`; they are counted from 0 if `None`.
        of: Which part of a `Prediction`: `"observables"`, `"observations"`, which have
            noise, or `"states"`.

    Returns:
        A `Summary` of the draws that succeeded, which counts those that failed. Of a
        `Prediction` of several series one for each, in the structure of that part.

    Raises:
        TypeError: If `trajectory` is none of these.
        ValueError: If there is no axis of draws, draws differ in their times, the
            weights are no weights, or another argument is not as above.
        AllFailedError: If all draws failed.

    Example:
        ```python
        def solve(rate):
            ts = jnp.linspace(0.0, 2.0, 3)
            return bjm.integrate(lambda t, y, rate: -rate * y, 1.0, ts, args=rate)

        draws = jax.jit(jax.vmap(solve))(jnp.linspace(0.4, 0.6, 101))
        low, high = bjm.summarise(draws, interval_mass=0.8).equal_tailed
        low  # [1.0, 0.56, 0.31]
        ```
    """
    levels = check_levels(probs, interval_mass)
    if isinstance(trajectory, Prediction):
        if ts is not None:
            raise ValueError("`ts` is for plain arrays: a `Prediction` has its own.")
        return jax.tree.map(
            lambda draws: summarise(draws, probs, interval_mass=interval_mass),
            series_of(trajectory, of),
            is_leaf=lambda node: isinstance(node, Trajectory),
        )
    if of != "observables":
        raise ValueError(
            f"`of` picks a part of a `Prediction`, but `trajectory` is a "
            f"{type(trajectory).__name__}."
        )
    trajectory = as_trajectory(trajectory, ts)
    layout, succeeded, used, leaves = read_draws(trajectory)
    check_any_left(int((~succeeded).sum()), succeeded.size)
    weights = ess = None
    if trajectory.weights is not None:
        weights = read_weights(np.asarray(trajectory.weights), len(used))
        ess = effective_sample_size((succeeded.T * weights).T)
        if not ess.any():
            raise AllFailedError(
                "All draws of `trajectory` with a weight above 0 failed."
            )
    share = np.ones(len(used)) if weights is None else weights
    by_entry = used.reshape(len(used), -1)
    rows = []
    for leaf in leaves:
        width, size = max(1, _BLOCK_SIZE // len(leaf)), leaf.shape[1]
        repeats = size // by_entry.shape[1]
        for columns in np.split(np.arange(size), range(width, size, width)):
            is_used = by_entry[:, columns // repeats]
            block = leaf[:, columns]
            rows.append(_of_block(block, is_used, weights, levels, interval_mass))
    rows = np.concatenate(rows, axis=1)
    low, high, mean, stdv, start, end = map(layout.unflatten, rows[len(probs) :])
    return Summary(
        ts=layout.ts,
        mean=mean,
        stdv=stdv,
        probs=tuple(probs),
        quantiles=layout.unflatten(rows[: len(probs)]),
        interval_mass=interval_mass,
        equal_tailed=(low, high),
        highest_density=(start, end),
        num_used=used.sum(axis=0),
        share_running=share_running(
            np.tensordot(share, succeeded[..., None] & ~used, axes=1),
            np.asarray(np.tensordot(share, succeeded, axes=1)),
        ),
        num_draws=len(succeeded),
        num_failed=np.asarray((~succeeded).sum(axis=0)),
        effective_sample_size=ess,
    )


def _of_block(draws, is_used, weights, levels, interval_mass):
    """Quantiles, mean, stdv and shortest interval of what is used in each row."""
    if weights is not None:
        of_rows = [
            summarise_weighted(row[use], weights[use], levels, interval_mass)
            for row, use in zip(draws.T, is_used.T, strict=True)
        ]
        return np.stack(of_rows, axis=1)
    # NaN sorts last, so the draws in use come first.
    draws, counts = np.where(is_used, draws, np.nan).T.copy(), is_used.sum(axis=0)
    draws.sort(axis=1)
    out = np.full((len(levels) + 4, len(draws)), np.nan)
    for n in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == n)
        used = draws[:, :n] if len(rows) == len(draws) else draws[rows, :n]
        position = levels * (n - 1)
        below = np.floor(position).astype(int)
        start = used[:, below].astype(float)
        step = used[:, np.minimum(below + 1, n - 1)] - start
        out[:-4, rows] = (start + (position - below) * step).T
        out[-4, rows] = used.mean(axis=1, dtype=float)
        out[-3, rows] = used.std(axis=1, dtype=float)
        held = max(1, math.ceil(round(interval_mass * n, 9)))
        first = np.argmin(used[:, held - 1 :] - used[:, : n - held + 1], axis=1)
        out[-2, rows] = used[np.arange(len(rows)), first]
        out[-1, rows] = used[np.arange(len(rows)), first + held - 1]
    return out


@dataclass(frozen=True)
class Layout:
    """How the states without the draws lie in one vector, leaf after leaf."""

    ts: np.ndarray
    treedef: Any
    shapes: list[tuple[int, ...]]

    def unflatten(self, rows: Shaped[np.ndarray, "*k m"]) -> PyTree:
        """Vectors in the last axis of `rows` as a pytree."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(rows, ends[:-1], axis=-1)
        return self.treedef.unflatten(
            part.reshape(*rows.shape[:-1], *shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        )

    def flatten(self, tree: PyTree, name: str) -> Float[np.ndarray, " m"]:
        """A number, or a pytree that broadcasts to the states, as a vector."""
        same = isinstance(tree, int | float)
        leaves = [tree] * len(self.shapes) if same else self.treedef.flatten_up_to(tree)
        try:
            pairs = list(zip(leaves, self.shapes, strict=True))
            whole = [np.broadcast_to(np.asarray(x, float), shape) for x, shape in pairs]
        except ValueError as error:
            raise ValueError(
                f"`{name}` must broadcast to the states without the draws, of shapes "
                f"{self.shapes}, but has shapes {[np.shape(leaf) for leaf in leaves]}."
            ) from error
        return np.concatenate([leaf.ravel() for leaf in whole])

    def is_like(self, other: "Layout") -> bool:
        """Whether times, structure and shapes are the same."""
        same = self.treedef == other.treedef and self.shapes == other.shapes
        return same and np.array_equal(self.ts, other.ts)


def read_draws(
    trajectory: Trajectory,
) -> tuple[Layout, Bool[np.ndarray, "..."], Bool[np.ndarray, "..."], list[np.ndarray]]:
    """Take draws apart.

    Returns:
        The layout; which draws succeeded, of shape `(num_draws, ...)`; which are there,
        `(num_draws, ..., T)`; and the leaves of `ys`, `(num_draws, entries)`.
    """
    batch = np.shape(trajectory.num_steps)
    if batch == () or batch[0] == 0:
        raise ValueError(
            "`trajectory` must have a first axis of at least one draw, but its "
            f"`num_steps` has shape {batch}: it is one solve, or has no draws. Solve "
            "for many draws with `jax.vmap` or `map_posterior`."
        )
    ts = np.asarray(trajectory.ts)
    if ts.ndim > 1:
        if np.any(ts != ts[:1]):
            raise ValueError("The draws of `trajectory` must have the same `ts`.")
        rows = ts[0].reshape(-1, ts.shape[-1])
        ts = rows[0] if np.all(rows == rows[0]) else ts[0]
    leaves, treedef = jax.tree.flatten(trajectory.ys)
    leaves = [np.asarray(leaf) for leaf in leaves]
    succeeded = np.asarray(trajectory.succeeded)
    used = succeeded[..., None] & np.asarray(trajectory.is_reached)
    layout = Layout(ts, treedef, [leaf.shape[1:] for leaf in leaves])
    return layout, succeeded, used, [leaf.reshape(batch[0], -1) for leaf in leaves]


def share_running(
    ended: Num[np.ndarray, "..."], whole: Num[np.ndarray, "..."]
) -> Float[np.ndarray, "... T"]:
    """The share of the whole that had not ended by each time; NaN of nothing."""
    return np.asarray(1 - ended / np.where(whole > 0, whole, np.nan)[..., None])


def check_levels(
    probs: Sequence[float], interval_mass: float
) -> Float[np.ndarray, " k"]:
    """`probs` and the ends of the equal-tailed interval."""
    if len(probs) == 0 or not all(0 < prob < 1 for prob in probs):
        raise ValueError(f"`probs` must be numbers in (0, 1), but got {probs}.")
    if not 0 < interval_mass < 1:
        raise ValueError(f"`interval_mass` must be in (0, 1), but got {interval_mass}.")
    tail = (1 - interval_mass) / 2
    return np.array([*probs, tail, 1 - tail])


def check_any_left(num_failed: int, num_solves: int) -> None:
    """Raise an error if all draws failed."""
    if num_failed == num_solves:
        raise AllFailedError(
            f"All {num_solves:,} solves of `trajectory` failed, so there is nothing "
            "to summarise. `trajectory.result` says why: raise `max_steps`, loosen the "
            "tolerances, or look for draws where the vector field is not finite."
        )
