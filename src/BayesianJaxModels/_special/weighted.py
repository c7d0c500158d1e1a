"""Quantiles of draws that have weights, in float64 on the host."""

import numpy as np
from jaxtyping import Float, Num


def quantiles(
    values: Num[np.ndarray, "n ..."],
    weights: Float[np.ndarray, " n"] | None,
    probs: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "k ..."]:
    """Quantiles along the first axis, linear between draws.

    A weighted draw stands in the middle of its weight, and the range is stretched so
    that the least draw has probability 0 and the greatest 1. With equal weights, or
    `None`, that is NumPy's linear quantile. Draws of weight 0 do not count.
    """
    if weights is None:
        return np.quantile(values, probs, axis=0)
    columns = values.reshape(len(values), -1).T
    of_each = [
        quantiles_of_sorted(*sort_weighted(column, weights), probs)
        for column in columns
    ]
    if not of_each:
        return np.zeros((len(probs), *values.shape[1:]))
    return np.stack(of_each, axis=1).reshape(-1, *values.shape[1:])


def sort_weighted(
    values: Num[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Those of weight above 0 in ascending order, and their weights."""
    values, weights = values[weights > 0].astype(float), weights[weights > 0]
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def quantiles_of_sorted(
    values: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    probs: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    """`quantiles` of what `sort_weighted` returns."""
    middle = weights.cumsum() - weights / 2
    middle -= middle[0]
    return np.interp(probs * middle[-1], middle, values)
