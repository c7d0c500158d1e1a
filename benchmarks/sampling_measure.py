"""What `sampling_cost.py` measures, one task in each process.

Run by `sampling_cost.py`, which says with `JAX_PLATFORMS` which device it sees; prints
what the task returns as JSON.
"""

import ctypes
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
from core import describe_device
from sampling_cases import CASES, Case, exact_values, largest_error
from sampling_methods import BASELINE, DRIVER, sampling_methods, training_methods
from sampling_peers import given_methods, missing_peers

LONGEST_S = 10.0
POLL_S = 2e-4


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


def measure(index, small, repeats, peaks):
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
        del values, steps
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
        peak = peak_on_gpu if jax.default_backend() == "gpu" else peak_of_process
        row["peak_mib"] = peak(methods[row["method"]].run) if peaks else None
    return rows


def peak_of_process(run):
    """What a compiled run needs in MiB beyond what the process held, `None` if unknown.

    Linux forgets the most that a process ever held when asked to.
    """
    forget = Path("/proc/self/clear_refs")
    if not forget.exists():
        return None
    # What was freed is not yet given back, and the run would take it again unseen.
    ctypes.CDLL(None).malloc_trim(0)
    forget.write_text("5")
    start = status_mib("VmRSS")
    run(0)
    return status_mib("VmHWM") - start


def status_mib(name):
    """A line of what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


def peak_on_gpu(run):
    """The same of a GPU's memory, which is asked again and again while it runs.

    The most that JAX remembers is that of all runs so far, and it does not forget.
    """
    device, done, seen = jax.local_devices()[0], threading.Event(), []
    if not device.memory_stats():
        return None

    def look():
        while not done.wait(POLL_S):
            seen.append(device.memory_stats()["bytes_in_use"])

    start = device.memory_stats()["bytes_in_use"]
    looking = threading.Thread(target=look)
    looking.start()
    run(0)
    done.set()
    looking.join()
    return (max(seen, default=start) - start) / 2**20


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
    "time_driver": time_driver,
    "describe": describe,
    "missing_peers": missing_peers,
}


if __name__ == "__main__":
    task, settings = sys.argv[1:]
    print(json.dumps(TASKS[task](**json.loads(settings))))
