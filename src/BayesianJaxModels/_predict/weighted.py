"""Statistics of draws that have weights, in float64 on the host."""

import numpy as np
from jaxtyping import Float, Int, Num, Shaped

from .._special import (
    quantiles as quantiles,
    quantiles_of_sorted,
    sort_weighted,
)


def read_weights(weights: Shaped[np.ndarray, "..."], num_draws: int) -> np.ndarray:
    """Weights in float64, or a `ValueError` where they are none."""
    if weights.shape != (num_draws,):
        raise ValueError(
            f"`weights` must be one number for each of {num_draws} draws, but has "
            f"shape {weights.shape}."
        )
    weights = weights.astype(float)
    if not (np.all(np.isfinite(weights) & (weights >= 0)) and weights.any()):
        raise ValueError(
            "`weights` must be finite, at least 0 and not all 0. Logarithms of weights "
            "are turned into weights by `jax.nn.softmax`."
        )
    return weights


def effective_sample_size(weights: Float[np.ndarray, "n ..."]) -> np.ndarray:
    """`sum(w)**2 / sum(w**2)` along the first axis (Kish, 1965); 0 where all are 0."""
    squares = (weights**2).sum(axis=0)
    ratio = weights.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1)
    return np.asarray(np.where(squares > 0, ratio, 0.0))


def representatives(
    weights: Float[np.ndarray, " n"] | None, num_draws: int, count: int
) -> Int[np.ndarray, " m"]:
    """At most `count` draws to show: the first, or at even steps of their weight."""
    if weights is None:
        return np.arange(min(num_draws, count))
    up_to = weights.astype(float).cumsum()
    steps = (np.arange(count) + 0.5) / count * up_to[-1]
    return np.unique(np.searchsorted(up_to, steps))


def summarise_weighted(
    values: Num[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    probs: Float[np.ndarray, " k"],
    interval_mass: float,
) -> Float[np.ndarray, " k+4"]:
    """Quantiles, mean, stdv and the ends of the shortest interval.

    The shortest interval starts and ends at a draw and holds at least `interval_mass`.
    """
    values, weights = sort_weighted(values, weights)
    if values.size == 0:
        return np.full(len(probs) + 4, np.nan)
    quantiles = quantiles_of_sorted(values, weights, probs)
    mean = np.average(values, weights=weights)
    stdv = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    up_to = weights.cumsum()
    # The mass is reached up to rounding, as it is where draws are counted.
    wanted = up_to - weights + (interval_mass - 1e-9) * up_to[-1]
    last = np.searchsorted(up_to, wanted)
    first = np.flatnonzero(last < len(values))
    first = first[np.argmin(values[last[first]] - values[first])]
    return np.array([*quantiles, mean, stdv, values[first], values[last[first]]])
