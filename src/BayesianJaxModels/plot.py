"""What one sees: bands of trajectories, and what draws cost. Needs matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ._dynamics.trajectory import Trajectory
from ._predict.calibration import Coverage
from ._predict.sbc import SBC, pit_ranks
from ._predict.summary import Summary, summarise
from ._predict.weighted import representatives


def trajectories(
    summary_or_trajectory: Summary | Trajectory,
    *,
    state: int | str | Sequence[int | str] | None = None,
    draws: int = 10,
    data: tuple[Any, PyTree] | None = None,
    forecast_from: float | None = None,
    ax: Any = None,
    labels: Sequence[str] | None = None,
    colour: Any = "C0",
) -> list[Any]:
    """Draw posterior bands, the median, some draws and the data.

    A band spans every pair of `probs` that mirror each other, by default 90 % and 50 %.
    Without quantiles it is the mean and two standard deviations either side.

    Args:
        summary_or_trajectory: A `Summary`, or a `Trajectory` whose only batch axis is
            draws. Of several initial states take one: index `ys`, `result` and
            `num_steps` with `jax.tree.map(lambda leaf: leaf[:, 0], ...)`.
        state: Which components of the state, by number or by name, such as `"y[1]"`, or
            `"['prey']"` if the state is a dict; all of them if `None`.
        draws: How many draws that succeeded to show: the first ones, or of weighted
            draws at most so many, picked by weight. A `Summary` holds none.
        data: `(times, values)`, with values of shape `(n, *state)` in the structure of
            the state. NaN is missing.
        forecast_from: Shade the times from here on as forecast.
        ax: A matplotlib axes, or as many as there are components, to draw into.
        labels: The names of the components that are drawn.
        colour: A matplotlib colour.

    Returns:
        The axes, one for each component.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If there are batch axes besides draws, or `state`, `data`, `ax` or
            `labels` does not fit the state.

    Example:
        ```python
        (axes,) = plot.trajectories(draws, state=0, data=(times, counts))
        axes.figure.savefig("prey.png")
        ```
    """
    pyplot = _pyplot()
    source = summary_or_trajectory
    summary = source if isinstance(source, Summary) else summarise(source)
    if summary.num_failed.ndim:
        raise ValueError(
            f"There are batch axes {summary.num_failed.shape} besides the draws. Take "
            "one entry of `ys`, `result` and `num_steps`: `jax.tree.map(lambda leaf: "
            "leaf[:, 0], ...)`."
        )
    mean = _components(summary.mean, 1)
    chosen = _choose(state, list(mean))
    names = chosen if labels is None else list(labels)
    if len(names) != len(chosen):
        raise ValueError(f"`labels` must be {len(chosen)} names, but are {names}.")
    observed = None if data is None else _data_components(data, summary.mean)
    stdv = _components(summary.stdv, 1)
    quantiles = None
    if summary.quantiles is not None:
        quantiles = _components(summary.quantiles, 2)
    lines = {}
    if isinstance(source, Trajectory):
        shown = np.flatnonzero(np.asarray(source.succeeded))
        weights = None if source.weights is None else np.asarray(source.weights)[shown]
        shown = shown[representatives(weights, len(shown), draws)]
        lines = _components(jax.tree.map(lambda y: np.asarray(y)[shown], source.ys), 2)
    all_axes = _axes(pyplot, ax, len(chosen))
    for axes, component, name in zip(all_axes, chosen, names, strict=True):
        if forecast_from is not None:
            axes.axvspan(
                forecast_from, summary.ts[-1], color="0.92", zorder=0, label="forecast"
            )
        if quantiles is None:
            centre, name_of_centre = mean[component], "mean"
            spread = 2 * stdv[component]
            bands = [("mean ± 2 sd", centre - spread, centre + spread)]
        else:
            by_prob = dict(zip(summary.probs, quantiles[component], strict=True))
            bands = _bands(by_prob)
            has_median = 0.5 in by_prob
            centre = by_prob[0.5] if has_median else mean[component]
            name_of_centre = "median" if has_median else "mean"
        for i, (label, low, high) in enumerate(bands):
            alpha = 0.2 + 0.15 * i
            axes.fill_between(
                summary.ts, low, high, color=colour, alpha=alpha, lw=0, label=label
            )
        for i, line in enumerate(lines.get(component, ())):
            line = np.where(np.isfinite(line), line, np.nan)
            label = "draws" if i == 0 else None
            axes.plot(summary.ts, line, color=colour, alpha=0.5, lw=0.6, label=label)
        axes.plot(summary.ts, centre, color=colour, lw=1.8, label=name_of_centre)
        if observed is not None:
            times, values = observed[0], observed[1][component]
            there = ~np.isnan(values)
            axes.plot(times[there], values[there], "o", color="k", ms=3.5, label="data")
        axes.set_ylabel(name)
    all_axes[-1].set_xlabel("time")
    title = f"{summary.num_draws:,} draws"
    if summary.effective_sample_size is not None:
        title += f", weighted\nas good as {float(summary.effective_sample_size):,.0f}"
    if summary.num_failed:
        title += f", {int(summary.num_failed):,} failed"
    # Beside the axes where there is room, so that it hides nothing.
    place = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if ax is None else {}
    all_axes[0].legend(title=title, fontsize="small", title_fontsize="small", **place)
    return all_axes


def calibration(
    coverage: Coverage | Mapping[str, Coverage],
    pit: Any,
    *,
    level: float = 0.9,
    ts: Any = None,
    ax: Any = None,
) -> list[Any]:
    """Draw how honest bands are: coverage by level and by time, and PIT or SBC ranks.

    Args:
        coverage: From `bjm.coverage`, or several by name. The first axes have it by
            level, of points and of whole trajectories (dashed); the second by time.
        pit: Values from `bjm.pit`, or an `SBC`, or several of either by name. The third
            axes have their ECDF less the uniform one (an `SBC` has a line for each
            quantity) and its simultaneous 95 % band for independent values.
        level: The level of the coverage by time, the nearest there is.
        ts: The times; numbers from 0 if `None`.
        ax: Three matplotlib axes to draw into.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `ax` is not three axes.
    """
    by_level, by_time, ecdf = all_axes = _axes(_pyplot(), ax, 1, 3)
    for i, (name, found) in enumerate(_by_name(coverage).items()):
        stem, style = f"{name}, " if name else "", {"color": f"C{i}", "lw": 1.5}
        by_level.plot(found.levels, found.pointwise, **style, label=f"{stem}points")
        whole = f"{stem}whole series"
        by_level.plot(found.levels, found.simultaneous, "--", **style, label=whole)
        nearest = int(np.argmin(np.abs(np.array(found.levels) - level)))
        wanted, line = found.levels[nearest], found.by_time[nearest]
        times = np.arange(line.size) if ts is None else ts
        by_time.plot(times, line, **style, label=name or "points")
        by_time.axhline(wanted, color="0.4", lw=0.8, ls=":")
        by_time.set(xlabel="time", ylim=(-0.03, 1.03))
        by_time.set_ylabel(f"coverage of {100 * wanted:.3g} % intervals")
    by_level.plot([0, 1], [0, 1], color="0.4", lw=0.8, ls=":")
    by_level.set(xlabel="level", ylabel="coverage")
    for i, (name, found) in enumerate(_by_name(pit).items()):
        sbc = found if isinstance(found, SBC) else pit_ranks(found)
        share = np.arange(1, sbc.num_ranks + 1) / sbc.num_ranks
        low, high = (end - share for end in sbc.band)
        label = None if i else f"{100 * sbc.level:g} % band"
        ecdf.fill_between(share, low, high, color="0.5", alpha=0.2, lw=0, label=label)
        lines = ecdf.plot(share, sbc.ecdf - share[:, None], color=f"C{i}", lw=1.2)
        lines[0].set_label(name or ", ".join(sbc.names))
    ecdf.set(xlabel="PIT, or share of ranks", ylabel="ECDF less uniform")
    for axes in all_axes:
        axes.legend(fontsize="small")
    return all_axes


def sampling_cost(report: dict[str, Any], *, ax: Any = None) -> Any:
    """Draw what a benchmark measured: draws per second, by case and method.

    Args:
        report: A benchmark's report: `"device"`, `"versions"` and `"rows"`, each row
            with `"case"`, `"method"` and `"draws_per_s"`. Rows without the last were
            not measured in draws and are not drawn.
        ax: A matplotlib axes to draw into.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If no row has `"draws_per_s"`, or two have the same case and method.
    """
    pyplot = _pyplot()
    rows = [row for row in report["rows"] if row.get("draws_per_s") is not None]
    if not rows:
        raise ValueError('`report` has no row with "draws_per_s", so nothing to draw.')
    speeds = {(row["case"], row["method"]): row["draws_per_s"] for row in rows}
    if len(speeds) < len(rows):
        raise ValueError("`report` has rows with the same case and method.")
    cases = list(dict.fromkeys(case for case, _ in speeds))
    methods = list(dict.fromkeys(method for _, method in speeds))
    if ax is None:
        height = 1.5 + 0.28 * len(rows)
        _, ax = pyplot.subplots(figsize=(8, height), layout="constrained")
    # The bars of a case stand together, however many methods other cases have.
    of_case = [[m for m in methods if (case, m) in speeds] for case in cases]
    thickness = 0.8 / max(len(there) for there in of_case)
    for method in methods:
        there = [j for j, found in enumerate(of_case) if method in found]
        places = [of_case[j].index(method) - (len(of_case[j]) - 1) / 2 for j in there]
        bars = ax.barh(
            [j + place * thickness for j, place in zip(there, places, strict=True)],
            [speeds[cases[j], method] for j in there],
            height=thickness,
            label=method,
        )
        ax.bar_label(bars, fmt=_spell, fontsize="small", padding=2)
    ax.set_yticks(range(len(cases)), cases)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.margins(x=0.15)
    ax.set_xlabel("draws per second (log scale)")
    ax.set_title(report.get("device", ""), fontsize="small")
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=3)
    return ax


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed. "
            '`pip install "BayesianJaxModels[examples]"` brings it.'
        ) from error
    return pyplot


def _spell(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"


def _components(tree: PyTree, num_axes: int) -> dict[str, np.ndarray]:
    """The components of the state by name; `num_axes` axes come before the state's."""
    components = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        leaf = np.asarray(leaf)
        stem = jax.tree_util.keystr(path).removeprefix(".") or "y"
        for index in np.ndindex(leaf.shape[num_axes:]):
            name = stem + (str(list(index)) if index else "")
            components[name] = leaf[(..., *index)]
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


def _data_components(
    data: tuple[Any, PyTree], like: PyTree
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
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
    return times, _components(treedef.unflatten(values), 1)


def _by_name(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {"": given}


def _axes(pyplot: Any, ax: Any, rows: int, columns: int = 1) -> list[Any]:
    if ax is None:
        size = (max(7, 4 * columns), 1 + 2 * rows + (columns > 1))
        options = {"figsize": size, "layout": "constrained", "sharex": columns == 1}
        ax = pyplot.subplots(rows, columns, **options)[1]
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != (count := rows * columns):
        raise ValueError(f"`ax` must be {count} axes, but there are {len(axes)}.")
    return axes


def _bands(by_prob: dict[float, np.ndarray]) -> list[tuple[str, Any, Any]]:
    """Bands between probabilities that mirror each other, the widest first."""
    bands = []
    for prob in sorted(by_prob):
        mirror = [other for other in by_prob if np.isclose(other, 1 - prob)]
        if prob < 0.5 and mirror:
            label = f"{100 * (1 - 2 * prob):.3g} %"
            bands.append((label, by_prob[prob], by_prob[mirror[0]]))
    return bands
