"""Quantiles of data and of what might have been seen instead, in bins of time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from .._predict import Prediction, series_of
from .._special import quantiles


class ByTime(NamedTuple):
    """Quantiles in bins of time.

    Attributes:
        times: Of the data that count, `(m,)`.
        data: These data, `(m,)`.
        edges: Of the bins, `(b + 1,)`.
        centres: The median time of the data in each, `(b,)`.
        counts: How many data are in each, `(b,)`.
        observed: Quantiles of the data in each bin, `(p, b)`.
        simulated: The same of each draw, `(draws, p, b)`.
        weights: Of the draws, or `None`.
    """

    times: Shaped[np.ndarray, " m"]
    data: Shaped[np.ndarray, " m"]
    edges: Float[np.ndarray, " edges"]
    centres: Float[np.ndarray, " b"]
    counts: Int[np.ndarray, " b"]
    observed: Float[np.ndarray, "p b"]
    simulated: Float[np.ndarray, "n p b"]
    weights: Any

    def band(self, mass: float) -> Float[np.ndarray, "2 p b"]:
        """Between which the simulated quantiles lie, with so much of the draws."""
        ends = np.array([(1 - mass) / 2, (1 + mass) / 2])
        return quantiles(self.simulated, self.weights, ends)


def quantiles_by_time(
    prediction: Prediction, bins: Any, probs: Sequence[float]
) -> ByTime:
    """Take the quantiles of data and draws, in bins of time.

    Args:
        prediction: With data beside it.
        bins: How many, of about as many data each, or their edges.
        probs: The probabilities.

    Raises:
        ValueError: If there are no data or no times, they are not one number at each
            time, a bin is empty, or data lie in none.
    """
    observed, drawn = prediction.observed, prediction.observations
    if observed is None or isinstance(observed, tuple | dict):
        raise ValueError(
            "`prediction` must be of one series with data beside it: predict at their "
            "own times, of a new subject each with `subjects='new'`."
        )
    if prediction.ts is None:
        raise ValueError("`prediction` has no times.")
    data, simulated = np.asarray(observed), np.asarray(drawn, np.float64)
    if data.ndim != np.ndim(series_of(prediction, "observations").num_steps):
        raise ValueError(
            f"There must be one number at each time, but the data have {data.shape}: "
            "observe one component of the state."
        )
    times = np.broadcast_to(np.asarray(prediction.ts), data.shape)
    counts = np.ones(data.shape, bool)
    if prediction.mask is not None:
        counts = np.broadcast_to(np.asarray(prediction.mask), data.shape)
    data, times = data[counts], times[counts]
    good = np.asarray(prediction.succeeded)
    simulated = simulated[:, counts][good]
    weights = prediction.weights
    if weights is not None:
        weights = np.asarray(weights, np.float64)[good]
        weights = weights / weights.sum()
    edges, levels = _edges(times, bins), np.asarray(probs, float)
    if np.any((times < edges[0]) | (times > edges[-1])):
        raise ValueError(
            f"Data lie from {times.min():g} to {times.max():g}, beyond the edges of "
            f"`bins`, from {edges[0]:g} to {edges[-1]:g}."
        )
    place = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
    found = [np.flatnonzero(place == index) for index in range(len(edges) - 1)]
    if any(len(one) == 0 for one in found):
        raise ValueError(f"A bin of time has no data: `bins` has the edges {edges}.")
    return ByTime(
        times,
        data,
        edges,
        np.array([np.median(times[one]) for one in found]),
        np.array([len(one) for one in found]),
        np.stack([np.quantile(data[one], levels) for one in found], axis=1),
        np.stack(
            [np.quantile(simulated[:, one], levels, axis=1).T for one in found], axis=2
        ),
        weights,
    )


def _edges(times: np.ndarray, bins: Any) -> np.ndarray:
    if np.ndim(bins) == 1:
        return np.asarray(bins, float)
    shares = np.linspace(0, 1, int(bins) + 1)
    return np.unique(np.quantile(times, shares))
