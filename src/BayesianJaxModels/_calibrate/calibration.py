"""Coverage of bands, and the probability integral transform."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int, Num, PRNGKeyArray

from .._check import AllFailedError
from .._compute import fold_in
from .._dynamics import Trajectory
from .._model import column_text
from .._predict import Prediction, by_series, quantiles, read_weights, series_of

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
        found = bjm.calibration.coverage(draws, truth, levels=(0.5, 0.9))
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

    def __repr__(self) -> str:
        headings = ("level", "pointwise", "by time", "simultaneous")
        rows = []
        for row in zip(
            self.levels,
            self.pointwise,
            self.by_time,
            np.atleast_1d(self.simultaneous),
            strict=True,
        ):
            level, pointwise, by_time, simultaneous = row
            known = by_time[np.isfinite(by_time)]
            ends = f"{known.min():.3g} to {known.max():.3g}" if known.size else ""
            share = f"{simultaneous:.3g}"
            rows.append((f"{level:.3g}", f"{pointwise:.3g}", ends, share))
        failed = np.sum(self.num_failed)
        words = "Coverage: the share of observations within intervals of each level; "
        words += f"{self.num_draws:,} draws"
        if failed:
            words += f", {failed:,} failed, over {np.size(self.num_failed):,} series"
        return column_text(headings, rows, [words], to_the_right=headings)


def coverage(
    draws: Any,
    truth: Any = None,
    levels: Sequence[float] = LEVELS,
    *,
    time_axis: int | None = None,
    mask: Any = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Any:
    """Coverage of credible intervals, by time, over all, and of bands as a whole.

    The simultaneous band is the mean plus and minus as many standard deviations as hold
    the share `level` of the draws at all times and in all components.

    Args:
        draws: A `Trajectory` with one array for a state, or an array of shape
            `(num_draws, *series, T, *state)`, or a `Prediction`, whose observations
            have noise. For noisy observations give draws of those, with noise. A draw
            that is not finite somewhere in a series is left out of that series and
            counted. One that an event ended counts at the times before: what is said of
            a time is said of the draws still running. Of observations a `Prediction`
            knows of such ends, and `dataclasses.replace(trajectory, ys=observations)`.
        truth: What the draws predict, of shape `(*series, T, *state)`; of a
            `Prediction` its data if `None`. It is rounded to the draws' precision, so
            that a given initial state is met.
        levels: The mass in each interval, in (0, 1).
        time_axis: Which axis of `truth` is time; axes before it are series, those after
            it the state. A `Prediction` and a `Trajectory` know theirs; of arrays it is
            the first if `None`.
        mask: What of `truth` was observed, of its shape or without axes of the state;
            all of it if `None`, or of the data of a `Prediction` what counts.
        weights: The weights of the draws; by default those of the `Trajectory`, if any.

    Returns:
        A `Coverage`; of a `Prediction` of several series one for each, by name.

    Raises:
        ValueError: If an argument is not as above, there is no truth, or no draw still
            runs at a time that was observed.
        AllFailedError: If all draws of a series failed.

    Example:
        ```python
        rng = np.random.default_rng(0)
        rates, ts = rng.normal(0.5, 0.1, (500, 1, 1)), np.linspace(0.0, 4.0, 9)
        draws = np.exp(-rates * ts)  # of a decay from 1, for one series
        truth = np.exp(-0.6 * ts)[None]
        found = bjm.calibration.coverage(draws, truth, levels=(0.5, 0.9), time_axis=1)
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
    if isinstance(draws, Prediction):
        settings = {"time_axis": time_axis, "weights": weights}
        return over_series(
            lambda one, truth, mask, place: coverage(
                one, truth, levels, mask=mask, **settings
            ),
            draws,
            truth,
            mask,
        )
    data = read_series(draws, truth, mask, weights, time_axis)
    tails = (1 - masses) / 2
    probs = np.append(tails, 1 - tails)
    covered, together = [], []
    for one in data.series:
        ends = one.by_time(lambda now: quantiles(now.draws, now.weights, probs))
        low, high = np.split(ends, 2)
        covered.append((low <= one.truth) & (one.truth <= high) & one.observed)
        if one.observed.any():
            of_draws, weights, of_truth = _deviations(one)
            together.append(of_truth <= quantiles(of_draws, weights, masses))
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
    """The greatest distance from the mean, in sds, of each draw and of the truth.

    Of the draws that ran while something was observed, with their weights.
    """

    def moments(now):
        # Less the first draw, so that draws which agree have an sd of exactly 0.
        draws = now.draws - now.draws[0]
        mean = np.average(draws, axis=0, weights=now.weights)
        variance = np.average((draws - mean) ** 2, axis=0, weights=now.weights)
        return np.stack([now.draws[0], mean, np.sqrt(variance)])

    first, mean, stdv = one.by_time(moments)

    def greatest(values):
        distance = np.abs(values - first - mean)
        beyond = np.where(distance > 0, np.inf, 0.0)
        ratio = np.where(stdv > 0, distance / np.where(stdv > 0, stdv, 1), beyond)
        return ratio[..., one.observed].max(axis=-1)

    there = one.running & one.observed.any(axis=-1)
    kept = there.any(axis=1)
    draws = np.where(there[kept, :, None], one.draws[kept], first + mean)
    weights = None if one.weights is None else one.weights[kept]
    return greatest(draws), weights, greatest(one.truth)


def pit(
    draws: Any,
    observation: Any = None,
    *,
    key: PRNGKeyArray,
    time_axis: int | None = None,
    mask: Any = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Any:
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
        Values in (0, 1), of the shape of `observation`; NaN where `mask` is false. Of a
        `Prediction` of several series an array for each, by name.

    Raises:
        ValueError: As `coverage` says.

    Example:
        ```python
        rng = np.random.default_rng(0)
        replicated, counts = rng.poisson(5.0, (500, 200)), rng.poisson(5.0, 200)
        values = bjm.calibration.pit(replicated, counts, key=jax.random.key(0))
        np.quantile(values, [0.25, 0.5, 0.75])  # [0.30, 0.53, 0.77]
        ```

    References:
        Czado, Gneiting and Held (2009), "Predictive model assessment for count data",
        Biometrics 65.
    """
    if isinstance(draws, Prediction):
        settings = {"time_axis": time_axis, "weights": weights}
        return over_series(
            lambda one, truth, mask, place: pit(
                one, truth, key=fold_in(key, place), mask=mask, **settings
            ),
            draws,
            observation,
            mask,
        )
    data = read_series(draws, observation, mask, weights, time_axis)
    data.warn_failed()
    uniform = np.asarray(jax.random.uniform(key, data.shape), float)
    values = []
    for one, noise in zip(data.series, uniform, strict=True):
        below, tied, whole = one.by_time(_ranks)
        value = (below + noise * (tied + 1)) / (whole + 1)
        values.append(np.where(one.observed, value, np.nan))
    return np.reshape(values, np.shape(observation))


def _ranks(now):
    """How many draws are below, how many tied, and how many there are in all."""
    share = np.ones(len(now.draws))
    if now.weights is not None:
        share = now.weights * (now.weights.sum() / (now.weights**2).sum())
    below = np.tensordot(share, now.draws < now.truth, axes=1)
    tied = np.tensordot(share, now.draws == now.truth, axes=1)
    return np.stack([below, tied, np.full(below.shape, share.sum())])


@dataclass(frozen=True)
class Series:
    """The draws of one series that can be used, and what was observed of it.

    Draws are NaN where they do not run, after an event ended them.
    """

    draws: Float[np.ndarray, "n T k"]
    running: Bool[np.ndarray, "n T"]
    truth: Float[np.ndarray, "T k"]
    observed: Bool[np.ndarray, "T k"]
    weights: Float[np.ndarray, " n"] | None

    def take(self, draws: Any, times: Any) -> "Series":
        """Some draws at some times."""
        weights = None if self.weights is None else self.weights[draws]
        return Series(
            self.draws[draws][:, times],
            self.running[draws][:, times],
            self.truth[times],
            self.observed[times],
            weights,
        )

    def stretches(self) -> "list[Series]":
        """Stretches of times, each with the draws that run at all of it.

        Where none runs, and nothing was observed, with all of them, which are NaN.
        """
        change = (self.running[:, 1:] != self.running[:, :-1]).any(axis=0)
        ends = [0, *(np.flatnonzero(change) + 1), self.running.shape[1]]
        found = []
        for start, stop in pairwise(ends):
            running = self.running[:, start]
            kept = running if running.any() else ~running
            found.append(self.take(kept, slice(start, stop)))
        return found

    def by_time(self, fn: "Callable[[Series], np.ndarray]") -> np.ndarray:
        """A function of the draws at some times, of shape `(..., T, k)`, at all."""
        return np.concatenate([fn(now) for now in self.stretches()], axis=-2)


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


def over_series(fn: Callable, prediction: Prediction, truth: Any, mask: Any) -> Any:
    """A function of draws, truth, mask and place of each series of a prediction.

    Of one series it is what `fn` returns. Of several it is that by their names, those
    left out that were not observed.

    Raises:
        ValueError: If nothing was observed, or other series than there are.
    """
    if truth is None:
        truth = prediction.observed
        mask = prediction.mask if mask is None else mask
    if truth is None:
        raise ValueError(
            "The prediction has no data, such as one at other times: say what was "
            "observed there."
        )
    draws = by_series(series_of(prediction, "observations"))
    truths, masks = by_series(truth), by_series(mask)
    unknown = [name for name in (*truths, *masks) if name not in draws]
    if unknown:
        raise ValueError(
            "What was observed must have the structure of the prediction, with the "
            f"series {list(draws)}, but has {list(truths)}."
        )
    found = {
        name: fn(draws[name], truths[name], masks.get(name), place)
        for place, name in enumerate(truths)
    }
    return found["y"] if list(draws) == ["y"] else found


def known_time_axis(draws: Any, time_axis: int | None) -> int:
    """Which axis of what the draws predict is time: that given, or their own."""
    own = np.ndim(draws.num_steps) - 1 if isinstance(draws, Trajectory) else None
    if time_axis is not None and own is not None and time_axis != own:
        raise ValueError(
            f"`time_axis` is {time_axis}, but the times of the trajectory are axis "
            f"{own} of what its draws predict."
        )
    return time_axis or own or 0


def read_series(
    draws: Trajectory | Num[ArrayLike, "..."],
    truth: Num[ArrayLike, "..."] | None,
    mask: Bool[ArrayLike, "..."] | None,
    weights: Float[ArrayLike, " n"] | None,
    time_axis: int | None,
) -> AllSeries:
    """Take draws and what they predict apart, series by series, in float64.

    Raises:
        ValueError: As `coverage` says.
    """
    if truth is None:
        raise ValueError(
            "There is nothing to compare draws with: only a `Prediction` has data of "
            "its own."
        )
    succeeded = reached = None
    time_axis = known_time_axis(draws, time_axis)
    if isinstance(draws, Trajectory):
        if not isinstance(draws.ys, jax.Array | np.ndarray):
            raise ValueError(
                "`draws` must have one array for a state, but `ys` is a "
                f"{type(draws.ys).__name__}. Hand in one of its arrays."
            )
        weights = draws.weights if weights is None else weights
        succeeded, reached = np.asarray(draws.succeeded), np.asarray(draws.is_reached)
        draws = draws.ys
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
    leading = target.shape[: observed.ndim]
    if observed.ndim <= time_axis or observed.shape != leading or not observed.any():
        raise ValueError(
            f"`mask` must have shape {target.shape}, or that of its axes up to time or "
            f"beyond, and be true somewhere, but has shape {observed.shape} and "
            f"{observed.sum()} true."
        )
    trailing = (1,) * (target.ndim - observed.ndim)
    observed = np.broadcast_to(
        observed.reshape(observed.shape + trailing), target.shape
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
    finite = np.isfinite(values).all(axis=3)
    running = np.ones(finite.shape, bool) if reached is None else reached
    running = running.reshape(finite.shape)
    used = np.asarray((finite | ~running).all(axis=2))
    if succeeded is not None:
        used = used & succeeded.reshape(num_draws, -1)
    if weights is not None:
        weights = read_weights(np.asarray(weights), num_draws)
    found = []
    for i in range(len(target)):
        good = used[:, i] if weights is None else used[:, i] & (weights > 0)
        if not good.any():
            raise AllFailedError(f"All draws of series {i} failed or have weight 0.")
        there = running[good, i]
        chosen = np.where(there[..., None], values[good, i].astype(float), np.nan)
        kept = None if weights is None else weights[good]
        one = Series(chosen, there, target[i], observed.reshape(shape)[i], kept)
        empty = one.observed.any(axis=1) & ~there.any(axis=0)
        if empty.any():
            raise ValueError(
                f"No draw of series {i} still runs at its times {np.flatnonzero(empty)}"
                ", counted from 0, where something was observed: events ended all of "
                "them. Leave these times out with `mask`."
            )
        found.append(one)
    num_failed = np.asarray((~used).sum(axis=0).reshape(series))
    return AllSeries(found, target.shape, num_draws, num_failed)
