"""Plots of calibration."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._calibrate import SBC, Coverage, pit_ranks
from .axes import axes_to_draw_into, pyplot_or_error


def calibration(
    coverage: Coverage | Mapping[str, Coverage],
    pit: Any,
    *,
    level: float = 0.9,
    ts: Any = None,
    ax: Any = None,
) -> list[Any]:
    """Draw calibration: coverage by level and by time, and PIT values or SBC ranks.

    Args:
        coverage: From `bjm.calibration.coverage`, or several by name. The first axes
            have it by level, of points and of whole trajectories (dashed); the second
            by time.
        pit: Values from `bjm.calibration.pit`, or an `SBC`, or several of either by
            name. The third axes have their ECDF less the uniform one (an `SBC` has a
            line for each quantity) and its simultaneous 95 % band for independent
            values.
        level: The level of the coverage by time, the nearest there is.
        ts: The times, of shape `(T,)`; numbers from 0 if `None`.
        ax: Three matplotlib axes to draw into.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `ax` is not three axes.

    Example:
        ```python
        rng = np.random.default_rng(0)
        truth, draws = rng.normal(size=(40, 5)), rng.normal(size=(100, 40, 5))
        found = bjm.calibration.coverage(draws, truth, time_axis=1)
        values = bjm.calibration.pit(draws[..., 0], truth[:, 0], key=jax.random.key(0))
        by_level, by_time, ecdf = plot.calibration(found, values, level=0.8)
        by_time.get_ylabel()  # 'coverage of 80 % intervals'
        ```
    """
    by_level, by_time, ecdf = all_axes = axes_to_draw_into(pyplot_or_error(), ax, 1, 3)
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


def _by_name(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {"": given}
