"""What is predicted, with noise and without, beside the data."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from .._predict import Prediction, Summary, label_of, summarise
from .axes import axes_to_draw_into, pyplot_or_error
from .bands import by_component, data_components, put_legend, shade_forecast

ENDS = (0.05, 0.5, 0.95)


def prediction(
    prediction: Any,
    *,
    ts: Any = None,
    entry: Any = None,
    data: tuple[Any, PyTree] | None = None,
    forecast_from: float | int | None = None,
    ax: Any = None,
    labels: Sequence[str] | None = None,
    colour: Any = "C0",
    legend: bool = True,
) -> list[Any]:
    """Draw what is predicted: bands with noise and without, the median and the data.

    Both bands hold 90 % of the draws that succeeded. Observations should lie in the
    light one, which has the noise; what is observed without it lies in the dark one.

    Args:
        prediction: From `predict`.
        ts: The times of a simulation that has none, of shape `(T,)`; its results are
            counted from 0 if `None`.
        entry: Which one of a batch: `3` is the fourth of twenty series; a tuple for
            several batch axes.
        data: `(times, values)`, with values of shape `(n, ...)` in the structure of the
            observations. NaN is missing. If `None`, the data of the prediction, those
            that count.
        forecast_from: A time; those from it on are shaded as forecast.
        ax: A matplotlib axes, or as many as there are components, to draw into.
        labels: The names of the components.
        colour: A matplotlib colour.
        legend: Whether to draw one, beside new axes or into given ones.

    Returns:
        The matplotlib axes, one for each component of each series.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If there is no `Prediction`, or `entry` is no whole number.
        ValueError: If there are batch axes besides draws and no `entry`, all draws
            failed, or `ts`, `entry`, `data`, `ax` or `labels` does not fit.

    Example:
        ```python
        ts = np.array([1.0, 2.0, 3.0])
        rate = bjm.make_parameter(0.5, stdv=0.1, support="positive")
        problem = bjm.Problem(
            lambda rate: 80.0 * jnp.exp(-rate.value * ts),
            likelihood=bjm.likelihoods.LogNormalLikelihood(0.1),
            observations=np.array([51.0, 27.0, 20.0]),
            prior=None,
        )
        found = bjm.predict(problem, rate, key=jax.random.key(0), num_samples=100)
        [axes] = plot.prediction(found, labels=["dose"])
        axes.get_ylabel()  # 'dose'
        ```
    """
    pyplot = pyplot_or_error()
    if not isinstance(prediction, Prediction):
        raise TypeError(
            "`prediction` must be a `Prediction`, from `predict`, but is a "
            f"{type(prediction).__name__}. `plot.trajectories` draws trajectories."
        )
    if ts is not None:
        prediction = _with_times(prediction, ts)
    place = _place(entry)
    noisy = _at(place, summarise(prediction, ENDS, of="observations"))
    lines = _components(noisy)
    plain = _components(_at(place, summarise(prediction, ENDS)))
    names = list(lines) if labels is None else list(labels)
    if len(names) != len(lines):
        raise ValueError(f"`labels` must be {len(lines)} names, but are {names}.")
    if data is not None:
        means = jax.tree.map(lambda one: one.mean, noisy, is_leaf=_is_summary)
        times, values = data_components(data, means)
        points = {name: (times, column) for name, column in values.items()}
    else:
        points = _own_data(prediction, noisy, place)
    all_axes = axes_to_draw_into(pyplot, ax, len(lines))
    for axes, (component, (ts, quantiles)), name in zip(
        all_axes, lines.items(), names, strict=True
    ):
        shade_forecast(axes, forecast_from, ts[-1])
        low, median, high = quantiles
        style = {"color": colour, "lw": 0}
        axes.fill_between(ts, low, high, alpha=0.2, label="90 % with noise", **style)
        if component in plain:
            ts, (low, median, high) = plain[component]
            axes.fill_between(ts, low, high, alpha=0.35, label="90 %", **style)
        axes.plot(ts, median, color=colour, lw=1.8, label="median")
        if component in points:
            times, values = points[component]
            there = ~np.isnan(values)
            axes.plot(times[there], values[there], "o", color="k", ms=3.5, label="data")
        axes.set_ylabel(name)
    all_axes[-1].set_xlabel("number" if prediction.ts is None else "time")
    if legend:
        put_legend(all_axes[0], _summaries(noisy)[0], beside=ax is None)
    return all_axes


def _is_summary(node: Any) -> bool:
    return isinstance(node, Summary)


def _summaries(tree: PyTree) -> list[Summary]:
    return jax.tree.leaves(tree, is_leaf=_is_summary)


def _components(tree: PyTree) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times and quantiles of each component of each series, by name."""
    found = {}
    for path, one in jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_summary)[0]:
        if one.num_failed.ndim:
            raise ValueError(
                f"There are batch axes {one.num_failed.shape} besides the draws. Draw "
                "one of the batch at a time: `plot.prediction(..., entry=0)`."
            )
        columns = by_component(one.quantiles, 2, label_of(path, (), "y"))
        found |= {name: (one.ts, column) for name, column in columns.items()}
    return found


def _place(entry: Any) -> tuple[int, ...]:
    """Where in a batch."""
    given = () if entry is None else entry if isinstance(entry, tuple) else (entry,)
    try:
        if any(isinstance(index, bool | np.bool_) for index in given):
            raise TypeError
        return tuple(map(operator.index, given))
    except TypeError:
        raise TypeError(
            "`entry` must be a whole number, or a tuple of these for several batch "
            f"axes, but got {entry!r}."
        ) from None


def _with_times(prediction: Prediction, ts: Any) -> Prediction:
    if isinstance(prediction.observables, tuple):
        raise ValueError(
            "`ts` is for one simulation, but these predictions are of a sum of "
            "problems. Predict and draw its terms one by one."
        )
    if prediction.ts is not None:
        raise ValueError(
            "`ts` is for a simulation that has no times, but these predictions have "
            "some: leave it out."
        )
    ts = np.asarray(ts, float)
    lengths = {np.shape(leaf)[1:2] for leaf in jax.tree.leaves(prediction.observables)}
    if lengths != {ts.shape}:
        raise ValueError(
            f"`ts` has shape {ts.shape}, but the predictions have {sorted(lengths)}."
        )
    return replace(prediction, ts=ts)


def _at(place: tuple[int, ...], tree: PyTree) -> PyTree:
    """Summaries of one entry of a batch, whose axes follow those of quantiles."""
    batches = [one.num_failed.shape for one in _summaries(tree)]

    def of_one(one: Summary) -> Summary:
        axes = one.num_failed.shape
        if not axes and any(batches):
            return one  # beside a batch, in a sum
        if len(place) != len(axes) or not all(
            -size <= i < size for i, size in zip(place, axes, strict=True)
        ):
            raise ValueError(
                f"`entry` is {place}, but the batch axes besides the draws are {axes}. "
                "Those of a simulation that returns arrays are `(draws, T, ...)`."
            )
        ts = np.broadcast_to(one.ts, axes + one.ts.shape[-1:])
        quantiles = jax.tree.map(lambda leaf: leaf[:, *place], one.quantiles)
        rest = replace(one, ts=ts, quantiles=None)
        rest = jax.tree.map(lambda leaf: np.asarray(leaf[place]), rest)
        return replace(rest, quantiles=quantiles)

    return jax.tree.map(of_one, tree, is_leaf=_is_summary) if place else tree


def _own_data(
    prediction: Prediction, noisy: PyTree, place: tuple[int, ...]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times and values of the data of a prediction, NaN where they do not count."""
    by_path = jax.tree_util.tree_flatten_with_path
    masks = {str(path): leaf for path, leaf in by_path(prediction.mask)[0]}
    sums = {str(path): one for path, one in by_path(noisy, is_leaf=_is_summary)[0]}
    found = {}
    for path, values in by_path(prediction.observed)[0]:
        counts = masks.get(str(path), True)
        shown = np.where(counts, np.asarray(values, float), np.nan)
        one = sums[str(path)]
        shown = shown if shown.shape == np.shape(one.mean) else shown[place]
        columns = by_component(shown, 1, label_of(path, (), "y"))
        found |= {name: (one.ts, column) for name, column in columns.items()}
    return found
