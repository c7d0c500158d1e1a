"""Bands of trajectories."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from .._dynamics import Trajectory
from .._predict import (
    Prediction,
    Summary,
    as_trajectory,
    label_of,
    representatives,
    summarise,
)
from .axes import axes_to_draw_into, pyplot_or_error


def trajectories(
    summary_or_trajectory: Any,
    *,
    ts: Any = None,
    state: int | str | Sequence[int | str] | None = None,
    draws: int = 10,
    data: tuple[Any, PyTree] | None = None,
    forecast_from: float | int | None = None,
    ax: Any = None,
    labels: Sequence[str] | None = None,
    colour: Any = "C0",
    legend: bool = True,
) -> list[Any]:
    """Draw posterior bands, the median, some draws and the data.

    A band spans every pair of `probs` that mirror each other, by default 90 % and 50 %.
    Without quantiles it is the mean and two standard deviations either side. Where an
    event ended draws, bands are of those still running; the legend has their share at
    the last time.

    Args:
        summary_or_trajectory: A `Summary`, or a `Trajectory` whose only batch axis is
            draws, or an array of draws of shape `(num_draws, T, ...)`. Of several
            initial states take one: index all but `ts` and `weights` with
            `jax.tree.map(lambda leaf: leaf[:, 0], ...)`.
        ts: The times of an array, as in `summarise`.
        state: Which components of the state, by number or by name, such as `"y[1]"`, or
            `"prey"` if the state is a dict; all of them if `None`.
        draws: How many draws that succeeded to show: the first ones, or of weighted
            draws at most so many, picked by weight. A `Summary` holds none.
        data: `(times, values)`, with values of shape `(n, *state)` in the structure of
            the state. NaN is missing.
        forecast_from: A time; those from it on are shaded as forecast.
        ax: A matplotlib axes, or as many as there are components, to draw into.
        labels: The names of the components that are drawn.
        colour: A matplotlib colour.
        legend: Whether to draw one, beside new axes or into given ones.

    Returns:
        The matplotlib axes, one for each component.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If there is neither a `Summary` nor a `Trajectory` nor an array.
        ValueError: If there are batch axes besides draws, all draws failed, or `state`,
            `data`, `ax` or `labels` does not fit the state.

    Example:
        ```python
        def decay(t, y, rate):
            return -rate * y

        ts = np.linspace(0.0, 8.0, 5)  # hours
        rates = np.random.default_rng(0).normal(0.5, 0.1, 100)
        draws = jax.vmap(lambda rate: bjm.integrate(decay, 80.0, ts, args=rate))(rates)
        seen = ([1.0, 2.0, 3.0], [51.0, 27.0, 20.0])
        [axes] = plot.trajectories(draws, data=seen, forecast_from=4.0, labels=["dose"])
        axes.get_ylabel()  # 'dose'
        ```
    """
    pyplot = pyplot_or_error()
    source = summary_or_trajectory
    if isinstance(source, Prediction):
        raise TypeError("`plot.prediction` draws a `Prediction`.")
    if not isinstance(source, Summary):
        source = as_trajectory(source, ts)
    elif ts is not None:
        raise ValueError("`ts` is for plain arrays of draws: a `Summary` has its own.")
    summary = source if isinstance(source, Summary) else summarise(source)
    if summary.num_failed.ndim:
        raise ValueError(
            f"There are batch axes {summary.num_failed.shape} besides the draws. Take "
            "one entry of everything but `ts` and `weights`: `jax.tree.map(lambda "
            "leaf: leaf[:, 0], ...)`."
        )
    mean = by_component(summary.mean, 1)
    chosen = _choose(state, list(mean))
    names = chosen if labels is None else list(labels)
    if len(names) != len(chosen):
        raise ValueError(f"`labels` must be {len(chosen)} names, but are {names}.")
    observed = None if data is None else data_components(data, summary.mean)
    stdv = by_component(summary.stdv, 1)
    quantiles = by_component(summary.quantiles, 2)
    lines, reached = {}, np.ones((0, 1), bool)
    if isinstance(source, Trajectory):
        shown = np.flatnonzero(np.asarray(source.succeeded))
        weights = None if source.weights is None else np.asarray(source.weights)[shown]
        shown = shown[representatives(weights, len(shown), draws)]
        reached = np.asarray(source.is_reached)[shown]
        lines = by_component(jax.tree.map(lambda y: np.asarray(y)[shown], source.ys), 2)
    all_axes = axes_to_draw_into(pyplot, ax, len(chosen))
    for axes, component, name in zip(all_axes, chosen, names, strict=True):
        shade_forecast(axes, forecast_from, summary.ts[-1])
        centre, name_of_centre = mean[component], "mean"
        if summary.quantiles is None:
            spread = 2 * stdv[component]
            bands = [("mean ± 2 sd", centre - spread, centre + spread)]
        else:
            by_prob = dict(zip(summary.probs, quantiles[component], strict=True))
            bands = _bands(by_prob)
            if 0.5 in by_prob:
                centre, name_of_centre = by_prob[0.5], "median"
        for i, (label, low, high) in enumerate(bands):
            alpha = 0.2 + 0.15 * i
            axes.fill_between(
                summary.ts, low, high, color=colour, alpha=alpha, lw=0, label=label
            )
        for i, line in enumerate(lines.get(component, ())):
            line = np.where(reached[i], line, np.nan)
            label = "draws" if i == 0 else None
            axes.plot(summary.ts, line, color=colour, alpha=0.5, lw=0.6, label=label)
        axes.plot(summary.ts, centre, color=colour, lw=1.8, label=name_of_centre)
        if observed is not None:
            times, values = observed[0], observed[1][component]
            there = ~np.isnan(values)
            axes.plot(times[there], values[there], "o", color="k", ms=3.5, label="data")
        axes.set_ylabel(name)
    all_axes[-1].set_xlabel("time")
    if legend:
        put_legend(all_axes[0], summary, beside=ax is None)
    return all_axes


def shade_forecast(axes: Any, start: float | int | None, end: Any) -> None:
    """Shade the times from the start of a forecast on, if there is one."""
    if start is not None:
        axes.axvspan(start, end, color="0.92", zorder=0, label="forecast")


def put_legend(axes: Any, summary: Summary, *, beside: bool) -> None:
    """A legend that says how many draws there are, and how good."""
    title = f"{summary.num_draws:,} draws"
    if summary.effective_sample_size is not None:
        title += f", weighted\nas good as {float(summary.effective_sample_size):,.0f}"
    running = float(summary.share_running[-1])
    if summary.num_failed:
        title += f", {int(summary.num_failed):,} failed"
    if running < 1:
        title += f"\n{100 * running:.3g} % run to the end"
    # Beside the axes where there is room, so that it hides nothing.
    place = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if beside else {}
    axes.legend(title=title, fontsize="small", title_fontsize="small", **place)


def by_component(tree: PyTree, num_axes: int, root: str = "y") -> dict[str, np.ndarray]:
    """The components of the state by name; `num_axes` axes come before the state's."""
    components = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        leaf = np.asarray(leaf)
        for index in np.ndindex(leaf.shape[num_axes:]):
            components[label_of(path, index, root)] = leaf[(..., *index)]
    return components


def _choose(state: Any, names: list[str]) -> list[str]:
    if state is None:
        return names
    chosen = []
    for item in [state] if isinstance(state, int | str) else state:
        if item in names:
            chosen.append(item)
        elif isinstance(item, int) and -len(names) <= item < len(names):
            chosen.append(names[item])
        else:
            raise ValueError(
                f"`state` {item!r} is not a component: they are {names}, or their "
                "numbers from 0."
            )
    return chosen


def data_components(
    data: tuple[Any, PyTree], like: PyTree
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The times of data, and the components of their values by name."""
    times = np.asarray(data[0], float)
    leaves, treedef = jax.tree.flatten(like)
    values = [np.asarray(leaf, float) for leaf in treedef.flatten_up_to(data[1])]
    wanted = [(times.size, *leaf.shape[1:]) for leaf in leaves]
    came = [leaf.shape for leaf in values]
    if times.ndim != 1 or wanted != came:
        raise ValueError(
            f"`data` must be n times and values of shape (n, *state). For times of "
            f"shape {times.shape} that is {wanted}, but the values have {came}."
        )
    return times, by_component(treedef.unflatten(values), 1)


def _bands(by_prob: dict[float, np.ndarray]) -> list[tuple[str, Any, Any]]:
    """Bands between probabilities that mirror each other, the widest first."""
    bands = []
    for prob in sorted(by_prob):
        mirror = [other for other in by_prob if np.isclose(other, 1 - prob)]
        if prob < 0.5 and mirror:
            label = f"{100 * (1 - 2 * prob):.3g} %"
            bands.append((label, by_prob[prob], by_prob[mirror[0]]))
    return bands
