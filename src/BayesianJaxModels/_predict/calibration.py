"""Are the bands honest: coverage and the probability integral transform."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int, Num, PRNGKeyArray

from .._dynamics.trajectory import Trajectory
from .weighted import quantiles, read_weights

LEVELS = tuple(i / 20 for i in range(1, 20))


class Coverage(eqx.Module):
    """How often intervals hold the truth, for every level.

    Attributes:
        levels: The posterior mass in each interval: what the coverage should be.
        pointwise: The share of all observed entries in their equal-tailed intervals, of
            shape `(k,)`.
        by_time: The same for each time, of shape `(k, T)`; NaN where nothing was
            observed.
        simultaneous: The share of series that lie in their bands as a whole, at all
            times and in all components at once, of shape `(k,)`. For one series that is
            0 or 1.
        num_draws: How many draws there were, failed ones included.
        num_failed: How many of them failed, one number for each series.

    Example:
        ```python
        rng = np.random.default_rng(0)
        draws, truth = rng.normal(size=(400, 30)), rng.normal(size=30)  # of 30 times
        found = bjm.coverage(draws, truth, levels=(0.5, 0.9))
        found.pointwise  # [0.5, 0.9]
        found.by_time.shape  # (2, 30)
        found.simultaneous  # [1.0, 1.0]
        ```
    """

    levels: tuple[float, ...] = eqx.field(static=True)
    pointwise: Float[np.ndarray, " k"]
    by_time: Float[np.ndarray, "k T"]
    simultaneous: Float[np.ndarray, " k"]
    num_draws: int = eqx.field(static=True)
    num_failed: Int[np.ndarray, "..."]


def coverage(
    draws: Trajectory | Num[ArrayLike, "..."],
    truth: Num[ArrayLike, "..."],
    levels: Sequence[float] = LEVELS,
    *,
    time_axis: int = 0,
    mask: Bool[ArrayLike, "..."] | None = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Coverage:
    """Coverage of credible intervals, by time, over all, and of bands as a whole.

    The simultaneous band is the mean plus and minus as many standard deviations as the
    share `level` of the draws needs to stay within at all times and in all components.

    Args:
        draws: A `Trajectory` with one array for a state, or an array of shape
            `(num_draws, *series, T, *state)`. For noisy observations give draws of
            those, with noise. A draw that is not finite somewhere in a series is left
            out of that series and counted.
        truth: What the draws predict, of shape `(*series, T, *state)`. It is rounded to
            the draws' precision, so that a given initial state is met.
        levels: The mass in each interval, in (0, 1).
        time_axis: Which axis of `truth` is time; axes before it are series, those after
            it the state.
        mask: What of `truth` was observed, of its shape; all of it if `None`.
        weights: The weights of the draws; by default those of the `Trajectory`, if any.

    Returns:
        A `Coverage`.

    Raises:
        ValueError: If an argument is not as above, or all draws of a series failed.

    Example:
        ```python
        rng = np.random.default_rng(0)
        rates, ts = rng.normal(0.5, 0.1, (500, 1, 1)), np.linspace(0.0, 4.0, 9)
        draws = np.exp(-rates * ts)  # of a decay from 1, for one series
        truth = np.exp(-0.6 * ts)[None]
        found = bjm.coverage(draws, truth, levels=(0.5, 0.9), time_axis=1)
        found.pointwise  # [0.11, 1.0]
        ```

    References:
        Montiel Olea and Plagborg-Møller (2019), "Simultaneous confidence bands: theory,
        implementation, and an application to SVARs", Journal of Applied Econometrics
        34: the sup-t band.
    """
    masses = np.asarray(levels, float)
    if masses.ndim != 1 or not masses.size or not np.all((masses > 0) & (masses < 1)):
        raise ValueError(f"`levels` must be numbers in (0, 1), but got {levels}.")
    data = read_series(draws, truth, mask, weights, time_axis)
    tails = (1 - masses) / 2
    covered, together = [], []
    for one in data.series:
        ends = quantiles(one.draws, one.weights, np.append(tails, 1 - tails))
        low, high = np.split(ends, 2)
        covered.append((low <= one.truth) & (one.truth <= high) & one.observed)
        if one.observed.any():
            of_draws, of_truth = _deviations(one)
            together.append(of_truth <= quantiles(of_draws, one.weights, masses))
    counts = np.sum([one.observed.sum(axis=1) for one in data.series], axis=0)
    hits = np.sum(covered, axis=(0, 3))
    return Coverage(
        levels=tuple(float(mass) for mass in masses),
        pointwise=hits.sum(axis=1) / counts.sum(),
        by_time=np.where(counts > 0, hits / np.maximum(counts, 1), np.nan),
        simultaneous=np.mean(together, axis=0),
        num_draws=data.num_draws,
        num_failed=data.num_failed,
    )


def _deviations(one):
    """The greatest distance from the mean, in sds, of each draw and of the truth."""
    # Less the first draw, so that draws which agree have an sd of exactly 0.
    draws, truth = one.draws - one.draws[0], one.truth - one.draws[0]
    mean = np.average(draws, axis=0, weights=one.weights)
    stdv = np.sqrt(np.average((draws - mean) ** 2, axis=0, weights=one.weights))

    def greatest(values):
        distance = np.abs(values - mean)
        beyond = np.where(distance > 0, np.inf, 0.0)
        ratio = np.where(stdv > 0, distance / np.where(stdv > 0, stdv, 1), beyond)
        return ratio[..., one.observed].max(axis=-1)

    return greatest(draws), greatest(truth)


def pit(
    draws: Trajectory | Num[ArrayLike, "..."],
    observation: Num[ArrayLike, "..."],
    *,
    key: PRNGKeyArray,
    time_axis: int = 0,
    mask: Bool[ArrayLike, "..."] | None = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Float[np.ndarray, "..."]:
    """The probability integral transform: where each observation falls in its draws.

    It is the rank of the observation among the draws, with ties broken at random, and
    spread evenly over the rank's cell. So it is exactly uniform on (0, 1) if the
    observation comes from where the draws do, for continuous data and for counts.
    Values at different times of one series are not independent.

    Args:
        draws: Draws of the observation, with noise; as in `coverage`. A warning says
            how many are left out because they are not finite.
        observation: As `truth` in `coverage`.
        key: A JAX random key.
        time_axis: As in `coverage`.
        mask: As in `coverage`.
        weights: As in `coverage`. The observation then counts as one draw beside as
            many as the effective sample size.

    Returns:
        Values in (0, 1), of the shape of `observation`; NaN where `mask` is false.

    Raises:
        ValueError: If an argument is not as above, or all draws of a series failed.

    Example:
        ```python
        rng = np.random.default_rng(0)
        replicated, counts = rng.poisson(5.0, (500, 200)), rng.poisson(5.0, 200)
        values = bjm.pit(replicated, counts, key=jax.random.key(0))
        np.quantile(values, [0.25, 0.5, 0.75])  # [0.30, 0.53, 0.77]
        ```

    References:
        Czado, Gneiting and Held (2009), "Predictive model assessment for count data",
        Biometrics 65.
    """
    data = read_series(draws, observation, mask, weights, time_axis)
    data.warn_failed()
    uniform = np.asarray(jax.random.uniform(key, data.shape), float)
    values = []
    for one, noise in zip(data.series, uniform, strict=True):
        share = np.ones(len(one.draws))
        if one.weights is not None:
            share = one.weights * (one.weights.sum() / (one.weights**2).sum())
        below = np.tensordot(share, one.draws < one.truth, axes=1)
        tied = np.tensordot(share, one.draws == one.truth, axes=1)
        value = (below + noise * (tied + 1)) / (share.sum() + 1)
        values.append(np.where(one.observed, value, np.nan))
    return np.reshape(values, np.shape(observation))


@dataclass(frozen=True)
class Series:
    """The draws of one series that can be used, and what was observed of it."""

    draws: Float[np.ndarray, "n T k"]
    truth: Float[np.ndarray, "T k"]
    observed: Bool[np.ndarray, "T k"]
    weights: Float[np.ndarray, " n"] | None


@dataclass(frozen=True)
class AllSeries:
    """All series; `shape` is their number, the times and the components."""

    series: list[Series]
    shape: tuple[int, int, int]
    num_draws: int
    num_failed: Int[np.ndarray, "..."]

    def warn_failed(self) -> None:
        """Warn if draws were left out."""
        if self.num_failed.any():
            count = self.num_draws * self.num_failed.size
            warnings.warn(
                f"{self.num_failed.sum():,} of {count:,} draws failed, or are not "
                "finite, and are left out.",
                stacklevel=3,
            )


def read_series(
    draws: Trajectory | Num[ArrayLike, "..."],
    truth: Num[ArrayLike, "..."],
    mask: Bool[ArrayLike, "..."] | None,
    weights: Float[ArrayLike, " n"] | None,
    time_axis: int,
) -> AllSeries:
    """Take draws and what they predict apart, series by series, in float64.

    Raises:
        ValueError: As `coverage` says.
    """
    succeeded = None
    if isinstance(draws, Trajectory):
        if not isinstance(draws.ys, jax.Array | np.ndarray):
            raise ValueError(
                "`draws` must have one array for a state, but `ys` is a "
                f"{type(draws.ys).__name__}. Hand in one of its arrays."
            )
        weights = draws.weights if weights is None else weights
        succeeded, draws = np.asarray(draws.succeeded), draws.ys
    values, target = np.asarray(draws), np.asarray(truth)
    if values.ndim == 0 or len(values) == 0 or values.shape[1:] != target.shape:
        raise ValueError(
            "`draws` must be at least one draw of shape (num_draws, *truth.shape), but "
            f"they have shape {values.shape} and what they predict {target.shape}."
        )
    if not 0 <= time_axis < target.ndim:
        raise ValueError(
            f"`time_axis` is {time_axis}, but what the draws predict has axes 0 to "
            f"{target.ndim - 1}."
        )
    observed = np.ones(target.shape, bool) if mask is None else np.asarray(mask)
    if observed.shape != target.shape or not observed.any():
        raise ValueError(
            f"`mask` must have shape {target.shape} and be true somewhere, but has "
            f"shape {observed.shape} and {observed.sum()} true."
        )
    if not np.all(np.isfinite(target) | ~observed):
        raise ValueError(
            "What the draws predict has NaN or inf. If values are missing, say so by "
            "`mask`."
        )
    if np.issubdtype(values.dtype, np.floating):
        target = target.astype(values.dtype)
    num_draws, series = len(values), target.shape[:time_axis]
    shape = (math.prod(series), target.shape[time_axis], -1)
    values = values.reshape(num_draws, *shape)
    target = np.where(observed, target, 0).astype(float).reshape(shape)
    used = np.asarray(np.isfinite(values).all(axis=(2, 3)))
    if succeeded is not None:
        used = used & succeeded.reshape(num_draws, -1)
    if weights is not None:
        weights = read_weights(np.asarray(weights), num_draws)
    found = []
    for i in range(len(target)):
        good = used[:, i]
        kept = None if weights is None else weights[good]
        if not good.any() or (kept is not None and not kept.any()):
            raise ValueError(f"All draws of series {i} failed or have weight 0.")
        chosen = values[good, i].astype(float)
        found.append(Series(chosen, target[i], observed.reshape(shape)[i], kept))
    num_failed = np.asarray((~used).sum(axis=0).reshape(series))
    return AllSeries(found, target.shape, num_draws, num_failed)
