"""Matplotlib, and axes to draw into."""

from typing import Any

import numpy as np

from .._check import import_extra


def pyplot_or_error() -> Any:
    """Matplotlib's pyplot, or an `ImportError` with the remedy."""
    import_extra("matplotlib", "A plot", "matplotlib", "examples")
    from matplotlib import pyplot

    return pyplot


def axes_to_draw_into(pyplot: Any, ax: Any, rows: int, columns: int = 1) -> list[Any]:
    """`rows * columns` axes: those given, or those of a new figure."""
    if ax is None:
        size = (max(7, 4 * columns), 1 + 2 * rows + (columns > 1))
        options = {"figsize": size, "layout": "constrained", "sharex": columns == 1}
        ax = pyplot.subplots(rows, columns, **options)[1]
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != (count := rows * columns):
        raise ValueError(f"`ax` must be {count} axes, but there are {len(axes)}.")
    return axes
