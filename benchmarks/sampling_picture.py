"""The picture of what draws cost."""

from typing import Any

from matplotlib import pyplot


def draw(report: dict[str, Any], *, ax: Any = None) -> Any:
    """Draw what a benchmark measured: draws per second, by case and method.

    Args:
        report: A benchmark's report: `"device"`, `"versions"` and `"rows"`, each row
            with `"case"`, `"method"` and `"draws_per_s"`. Rows without the last were
            not measured in draws and are not drawn.
        ax: A matplotlib axes to draw into.

    Returns:
        The axes.

    Raises:
        ValueError: If no row has `"draws_per_s"`, or two have the same case and method.
    """
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


def _spell(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"
