"""What the core costs: drawing all weights of a model, and tracing a deep one.

Two bars, which `--check` holds:

- Under `jit(vmap)`, 1,000 draws of an (8, 64, 64, 8) perceptron take at most 1.1 times
  as long as a hand-written draw of the same arrays with `jax.random.normal`.
- `jax.jit` traces and lowers a model of 100 hidden layers in under 2 s.

Run `python core.py`; with `--json FILE` the figures are written down.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

import BayesianJaxModels as bjm

MAX_RATIO = 1.1
MAX_TRACE_S = 2.0
LIBRARY, HAND = "sample_all_parameters", "hand-written"


def hand_draw(arrays, key):
    """Draw `mean + (raw**2 + 1e-4) * eps` for every `(mean, raw)`, without classes."""
    return [
        mean
        + (raw**2 + 1e-4)
        * jax.random.normal(jax.random.fold_in(key, index), mean.shape, mean.dtype)
        for index, (mean, raw) in enumerate(arrays)
    ]


def arrays_of(model):
    """The `(mean, raw_stdv)` of every parameter."""
    return [(p.mean, p.raw_stdv) for p in bjm.get_parameters(model).values()]


def values_of(model):
    """The `mean` of every parameter; in a drawn model, what was drawn."""
    return [p.mean for p in bjm.get_parameters(model).values()]


def check_distribution(name, arrays, values):
    """Stop if the draws are not standard normal around their means, to 5 errors."""
    pairs = zip(arrays, values, strict=True)
    eps = [((value - mean) / (raw**2 + 1e-4)).ravel() for (mean, raw), value in pairs]
    eps = jnp.concatenate(eps)
    mean_error = float(jnp.abs(eps.mean()) * eps.size**0.5)
    stdv_error = float(jnp.abs(eps.std() - 1) * (2 * eps.size) ** 0.5)
    if not max(mean_error, stdv_error) < 5:
        message = f"mean off by {mean_error:.1f} errors, sd by {stdv_error:.1f}"
        raise SystemExit(f"{name}: the draws are wrong, {message}.")


def measure_draws(num_draws: int, repeats: int) -> list[dict]:
    """Time the library's draws beside hand-written ones, turn and turn about.

    Under `vmap` a drawn model carries its widths once for each draw, so there are two
    cases: the drawn values alone, and the whole drawn model. Both methods return the
    same arrays in each.
    """
    model = bjm.BayesianMLP(8, 8, width=64, depth=2, key=jax.random.key(0))
    arrays = arrays_of(model)
    keys = jax.random.split(jax.random.key(1), num_draws)

    def library_values(model, key):
        return values_of(bjm.sample_all_parameters(model, key))

    def hand_model(arrays, key):
        raws = [raw for _, raw in arrays]
        return list(zip(hand_draw(arrays, key), raws, strict=True))

    name = f"{num_draws:,} draws of (8, 64, 64, 8)"
    cases = {
        f"{name}, values": (library_values, hand_draw),
        f"{name}, whole model": (bjm.sample_all_parameters, hand_model),
    }
    rows = []
    for case, functions in cases.items():
        calls, compile_s = [], []
        for function, weights in zip(functions, (model, arrays), strict=True):
            mapped = jax.jit(jax.vmap(function, in_axes=(None, 0)))
            start = time.perf_counter()
            compiled = mapped.lower(weights, keys).compile()
            compile_s.append(time.perf_counter() - start)
            calls.append((compiled, weights))

        ours, theirs = (call(weights, keys) for call, weights in calls)
        if functions[1] is hand_model:
            ours, theirs = values_of(ours), [value for value, _ in theirs]
        for method, values in ((LIBRARY, ours), (HAND, theirs)):
            check_distribution(f"{case}, {method}", arrays, values)
        del ours, theirs

        times = [[], []]
        for _ in range(repeats):
            for (call, weights), seconds in zip(calls, times, strict=True):
                start = time.perf_counter()
                jax.block_until_ready(call(weights, keys))
                seconds.append(time.perf_counter() - start)
        medians = [statistics.median(seconds) for seconds in times]
        for i, method in enumerate((LIBRARY, HAND)):
            row = {"case": case, "method": method, "compile_s": compile_s[i]}
            rows.append(row | {"median_s": medians[i], "min_s": min(times[i])})
        rows[-2] |= {
            "ratio_of_medians": medians[0] / medians[1],
            "median_of_ratios": statistics.median(
                a / b for a, b in zip(*times, strict=True)
            ),
        }
    return rows


def draw_and_call(model, key, x):
    """Draw the weights and apply the model."""
    return bjm.sample_all_parameters(model, key)(x, sample=False)


def hand_draw_and_call(arrays, key, x):
    """Do the same to `(mean, raw_stdv)` arrays, without classes."""
    *hidden, last = zip(*[iter(hand_draw(arrays, key))] * 2, strict=True)
    for W, b in hidden:
        x = jnp.tanh(x @ W.T + b)
    return x @ last[0].T + last[1]


def freeze_and_differentiate(model, key, x):
    """Freeze the widths; value and gradient of a loss with respect to the means."""
    dynamic, static = bjm.freeze_stdvs(model)

    def loss(dynamic):
        return jnp.mean(draw_and_call(bjm.unfreeze_all(dynamic, static), key, x) ** 2)

    return jax.value_and_grad(loss)(dynamic)


TRACED = {
    "sample_all_parameters, forward": draw_and_call,
    "hand-written, forward": hand_draw_and_call,
    "freeze_stdvs, value_and_grad": freeze_and_differentiate,
}


def trace_once(method: str, layers: int, and_compile: bool) -> dict:
    """Trace, lower and perhaps compile one function, in a process with cold caches."""
    model = bjm.BayesianMLP(8, 8, width=64, depth=layers, key=jax.random.key(0))
    weights = arrays_of(model) if method.startswith(HAND) else model
    arguments = (weights, jax.random.key(1), jnp.ones((32, 8)))
    jax.block_until_ready(arguments)
    start = time.perf_counter()
    traced = jax.jit(TRACED[method]).trace(*arguments)
    after_trace = time.perf_counter()
    lowered = traced.lower()
    after_lower = time.perf_counter()
    result = {"trace_s": after_trace - start, "lower_s": after_lower - after_trace}
    if and_compile:
        lowered.compile()
        result["compile_s"] = time.perf_counter() - after_lower
    return result


def measure_tracing(layers: int, processes: int) -> list[dict]:
    """Time tracing and lowering, each time as the first thing a process does."""
    rows = []
    for method in TRACED:
        seen = []
        for index in range(processes):
            settings = {"method": method, "layers": layers, "and_compile": index == 0}
            command = [sys.executable, __file__, "--trace-once", json.dumps(settings)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            seen.append(json.loads(done.stdout))
        totals = [one["trace_s"] + one["lower_s"] for one in seen]
        rows.append(
            {
                "case": f"trace and lower {layers} hidden layers of 64",
                "method": method,
                "compile_s": seen[0]["compile_s"],
                "median_s": statistics.median(totals),
                "min_s": min(totals),
                "median_trace_s": statistics.median(one["trace_s"] for one in seen),
            }
        )
    return rows


def describe_device() -> str:
    """A name a reader knows, such as `Some CPU @ 2.80GHz, 2 cores, jax on cpu`."""
    device = jax.devices()[0]
    name = device.device_kind
    if device.platform == "cpu":
        name = platform.processor() or platform.machine()
        cpuinfo = Path("/proc/cpuinfo")
        for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, jax on {device.platform}"


def describe_versions() -> dict[str, str]:
    """The versions that the figures depend on."""
    packages = ("jax", "jaxlib", "equinox", "diffrax")
    versions = {package: importlib.metadata.version(package) for package in packages}
    # Of the package itself also where it is not installed.
    own = {"BayesianJaxModels": bjm.__version__}
    return {"python": platform.python_version()} | versions | own


def missed_bars(rows: list[dict]) -> list[str]:
    """One sentence for every figure that is over its bar."""
    missed = []
    for row in rows:
        where = f"{row['case']}, {row['method']}"
        ratio = row.get("median_of_ratios", 0)
        if ratio > MAX_RATIO:
            missed.append(f"{where}: ratio {ratio:.3f}, at most {MAX_RATIO} wanted.")
        is_ours = "median_trace_s" in row and not row["method"].startswith(HAND)
        if is_ours and row["median_s"] >= MAX_TRACE_S:
            seconds = f"{row['median_s']:.2f} s, under {MAX_TRACE_S} s wanted."
            missed.append(f"{where}: {seconds}")
    return missed


def print_table(rows: list[dict]) -> None:
    """Print all rows, and the ratio beside the library's."""
    header = ("case", "method", "compile s", "median s", "min s", "ratio")
    cells = [header]
    for row in rows:
        figures = (f"{row[name]:.3f}" for name in ("compile_s", "median_s", "min_s"))
        ratio = row.get("median_of_ratios")
        shown = "" if ratio is None else f"{ratio:.3f}"
        cells.append((row["case"], row["method"], *figures, shown))
    print_aligned(cells)


def print_aligned(cells: list) -> None:
    """Print lines of cells, the first two of each line to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(padded).rstrip())


def main(
    *,
    num_draws: int = 1000,
    repeats: int = 40,
    layers: int = 100,
    processes: int = 5,
    json_file: str | None = None,
    check: bool = False,
) -> dict:
    """Measure, print, and write or check if told to.

    Args:
        num_draws: Draws in one call.
        repeats: Timed calls of each method.
        layers: Hidden layers of the model that is traced.
        processes: Fresh processes for each tracing figure; the first one compiles too.
        json_file: Where to write the figures.
        check: Whether a missed bar ends the program.

    Returns:
        `{"device": ..., "versions": ..., "rows": [...]}`, as in the file.

    Raises:
        SystemExit: If a bar is missed and `check` is set.
    """
    # The parent is idle while its children trace, and they come first, so that nothing
    # else that this program does runs beside a measurement.
    traced = measure_tracing(layers, processes)
    rows = measure_draws(num_draws, repeats) + traced
    report = {
        "device": describe_device(),
        "versions": describe_versions(),
        "rows": rows,
    }
    print(report["device"])
    print_table(rows)
    if json_file is not None:
        Path(json_file).write_text(json.dumps(report, indent=2) + "\n")
    missed = missed_bars(rows)
    if missed and check:
        raise SystemExit("\n".join(missed))
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the core.")
    parser.add_argument("--repeats", type=int, default=40, help="calls of each method")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    parser.add_argument("--check", action="store_true", help="fail on a missed bar")
    parser.add_argument("--trace-once", metavar="SETTINGS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.trace_once:
        print(json.dumps(trace_once(**json.loads(arguments.trace_once))))
    else:
        main(
            repeats=arguments.repeats,
            json_file=arguments.json,
            check=arguments.check,
        )
