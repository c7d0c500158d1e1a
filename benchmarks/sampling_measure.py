"""What `sampling_cost.py` measures, one task in each process.

Run by `sampling_cost.py`, which says with `JAX_PLATFORMS` which device it sees; prints
what the task returns as JSON.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np
from core import describe_device
from sampling_cases import CASES, Case, exact_values, largest_error
from sampling_methods import BASELINE, DRIVER, sampling_methods, training_methods
from sampling_peers import given_methods, missing_peers

LONGEST_S = 10.0


def methods_of(index, small):
    """A case and its methods."""
    case = CASES[index].smaller() if small else CASES[index]
    kinds = {"training": training_methods, "given": given_methods}
    return case, kinds.get(case.kind, sampling_methods)(case)


def clock(call, *args):
    """The seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = call(*args)
    return time.perf_counter() - start, result


def measure(index, small, repeats):
    """The rows of one case: the methods in turn, compiled before."""
    case, methods = methods_of(index, small)
    rows, exact = [], {}
    for name, method in methods.items():
        first, (values, steps) = clock(method.run, 0)
        compile_s = first - clock(method.run, 0)[0] if method.compiles else None
        if method.weights not in exact:
            exact[method.weights] = exact_values(case, method.weights(0))
        rows.append(
            {
                "case": case.name,
                "method": name,
                "compile_s": compile_s,
                "steps_mean": float(np.mean(steps)),
                "steps_max": int(np.max(steps)),
                "error": largest_error(values, exact[method.weights]),
            }
        )
    seconds = {name: [] for name in methods}
    for repeat in range(repeats):
        for name, method in methods.items():
            seconds[name].append(clock(method.run, repeat + 1)[0])
    for row in rows:
        mine = seconds[row["method"]]
        pairs = zip(seconds[BASELINE], mine, strict=True)
        row["median_s"], row["min_s"] = statistics.median(mine), min(mine)
        row["draws_per_s"] = case.num_draws / row["median_s"]
        row["times_faster"] = statistics.median(base / ours for base, ours in pairs)
    return rows


def peak(index, small, method):
    """What one method needs in MiB, once and compiling included."""
    _, methods = methods_of(index, small)
    start = high_water_mib()
    methods[method].run(0)
    return None if start is None else high_water_mib() - start


def high_water_mib():
    """The most memory that JAX's GPU or this process ever held, `None` if unknown.

    Not `resource.getrusage`, whose maximum a process inherits from its parent.
    """
    if jax.default_backend() == "gpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        return stats["peak_bytes_in_use"] / 2**20 if stats else None
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    [line] = [line for line in status.read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) / 1024


def time_driver(sizes, num_steps, counts):
    """The seconds of our driver for more and more draws, until that takes too long."""
    times = []
    for count in counts:
        run = sampling_methods(Case(tuple(sizes), count, num_steps))[DRIVER].run
        run(0)
        seconds = []
        while len(seconds) < 3 and sum(seconds) < LONGEST_S:
            seconds.append(clock(run, len(seconds) + 1)[0])
        times.append(statistics.median(seconds))
        if times[-1] > LONGEST_S:
            break
    return times


def describe():
    """The device of this process."""
    return {"platform": jax.default_backend(), "name": describe_device()}


TASKS = {
    "measure": measure,
    "peak": peak,
    "time_driver": time_driver,
    "describe": describe,
    "missing_peers": missing_peers,
}


if __name__ == "__main__":
    task, settings = sys.argv[1:]
    print(json.dumps(TASKS[task](**json.loads(settings))))
