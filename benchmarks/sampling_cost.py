"""What posterior trajectories cost: the driver beside one `jit(vmap(draw, integrate))`.

The methods of a case take turns in one process, so that their ratios hold on a machine
that does other things too. Each case has its own process, which sees one device.

Run `python sampling_cost.py --peers` for the CPU and add `--device gpu` for the GPU, or
`--device all` for both; with `--json FILE` the figures are written down.
"""

import argparse
import importlib.metadata
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from core import describe_versions, print_aligned
from sampling_cases import CASES, GIVEN
from sampling_methods import BASELINE, BATCHED, DRIVER
from sampling_peers import PEERS
from sampling_picture import draw as draw_picture

# JAX finds no fault with a missing CUDA device if the CPU may take its place, and
# diffrax needs the CPU beside the GPU.
PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu"}
MEASURE = Path(__file__).with_name("sampling_measure.py")
NOT_MEASURED = "not measured"
REPEATS, QUICK_REPEATS = 7, 3
NUM_HEADLINE = 5  # cases in the geometric mean
COUNTS = (10, 100, 1_000, 10_000, 100_000)
COLUMNS = {
    "case": "{}",
    "method": "{}",
    "compile_s": "{:.2f}",
    "median_ms": "{:.2f}",
    "min_ms": "{:.2f}",
    "draws_per_s": "{:,.0f}",
    "times_faster": "{:.2f}",
    "peak_mib": "{:.0f}",
    "steps_mean": "{:.1f}",
    "steps_max": "{}",
    "error": "{:.1e}",
}


def chosen_cases(small, only, peers):
    """The cases with `only` in their names."""
    cases = [case.smaller() if small else case for case in CASES]
    return [
        (index, case)
        for index, case in enumerate(cases)
        if only in case.name and (peers or case.kind != GIVEN.kind)
    ]


def run_task(device, task, **settings):
    """What a task of `sampling_measure.py` returns, in a process with one device."""
    command = [sys.executable, str(MEASURE), task, json.dumps(settings)]
    environment = os.environ | {"JAX_PLATFORMS": PLATFORMS[device]}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def name_device(device):
    """Its name, `None` if it is not there."""
    try:
        found = run_task(device, "describe")
    except subprocess.CalledProcessError:
        return None
    return found["name"] if found["platform"] == device else None


def report_on(device, name, cases, json_file, *, small, repeats, quick):
    """All cases on one device. One that fails, for want of memory say, is named.

    The file is written after each, so that what was measured outlasts a run cut short.
    """
    print(f"\n{name}", flush=True)
    rows, not_measured = [], {}
    versions = describe_versions() | versions_of_peers()
    if any(case.kind == GIVEN.kind for _, case in cases):
        not_measured = run_task(device, "missing_peers")
    for index, case in cases:
        where = {"index": index, "small": small}
        try:
            settings = {"repeats": repeats, "peaks": not quick}
            found = run_task(device, "measure", **where, **settings)
        except subprocess.CalledProcessError:
            not_measured[case.name] = "failed"
            continue
        rows += found
        write({"device": name, "versions": versions, "rows": rows}, json_file)
        for row in found:
            speed = f"{row['median_s'] * 1e3:.1f} ms, {row['times_faster']:.2f} times"
            print(f"{case.name}, {row['method']}: {speed}", flush=True)
    for what, reason in not_measured.items():
        print(f"{what}: {NOT_MEASURED} ({reason})", flush=True)
    return {
        "device": name,
        "versions": versions,
        "geometric_mean_times_faster": geometric_mean(rows, small, BASELINE),
        "geometric_mean_over_batches": geometric_mean(rows, small, BATCHED),
        "not_measured": list(not_measured),
        "rows": rows,
    }


def versions_of_peers():
    """The versions of those that are installed."""
    versions = {}
    for package in (*PEERS, "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def geometric_mean(rows, small, than):
    """How many times faster our driver is `than` a method, over the first five cases.

    `None` where not all of them ran.
    """
    headline = [case.name for _, case in chosen_cases(small, "", False)][:NUM_HEADLINE]
    faster = {(row["case"], row["method"]): row["times_faster"] for row in rows}
    try:
        ratios = [faster[case, DRIVER] / faster[case, than] for case in headline]
    except KeyError:
        return None
    return math.prod(ratios) ** (1 / NUM_HEADLINE)


def find_crossover(small):
    """Our driver on CPU and GPU, from few draws to many, for each model size."""
    counts, rows = COUNTS[:2] if small else COUNTS, []
    fixed = [case for case in CASES[:NUM_HEADLINE] if case.num_steps is not None]
    for size, num_steps in sorted({(case.sizes, case.num_steps) for case in fixed}):
        settings = {"sizes": size, "num_steps": num_steps, "counts": counts}
        both = [run_task(device, "time_driver", **settings) for device in PLATFORMS]
        for count, cpu_s, gpu_s in zip(counts, *both, strict=False):
            row = {"sizes": size, "num_draws": count, "cpu_s": cpu_s, "gpu_s": gpu_s}
            rows.append(row)
            both_s = f"CPU {cpu_s:.4f} s, GPU {gpu_s:.4f} s"
            print(f"{size}, {count:,} draws: {both_s}", flush=True)
    return rows


def wins_from(crossover):
    """The smallest number of draws from which the GPU wins, `None` if never."""
    wins = []
    for size in dict.fromkeys(row["sizes"] for row in crossover):
        first = None
        for row in reversed([row for row in crossover if row["sizes"] == size]):
            if row["gpu_s"] >= row["cpu_s"]:
                break
            first = row["num_draws"]
        wins.append({"sizes": size, "num_draws": first})
    return wins


def print_table(rows):
    """One line for each row."""
    cells = [[name.replace("_", " ") for name in COLUMNS]]
    for row in rows:
        row = {f"{name}_ms": 1e3 * row[f"{name}_s"] for name in ("median", "min")} | row
        cells.append(
            [
                "-" if row[name] is None else form.format(row[name])
                for name, form in COLUMNS.items()
            ]
        )
    print_aligned(cells)


def crossover_of(small, missing):
    """What the reports say of the crossover; needs both devices."""
    if missing:
        print(f"crossover: {NOT_MEASURED} (no {', '.join(missing)} here)")
        return {"crossover": NOT_MEASURED}
    try:
        rows = find_crossover(small)
    except subprocess.CalledProcessError:
        print(f"crossover: {NOT_MEASURED} (failed)")
        return {"crossover": NOT_MEASURED}
    wins = wins_from(rows)
    for win in wins:
        count = win["num_draws"]
        where = "for no count measured" if count is None else f"from {count:,} draws on"
        print(f"{win['sizes']}: the GPU wins {where}")
    return {"crossover": rows, "gpu_wins_from": wins}


def write(report, json_file):
    """As JSON, if there is a file for it."""
    if json_file is not None:
        Path(json_file).parent.mkdir(parents=True, exist_ok=True)
        Path(json_file).write_text(json.dumps(report, indent=2) + "\n")


def finish(report, json_file, picture):
    """Print one report, write it and draw it."""
    print(f"\n{report['device']}")
    print_table(report["rows"])
    mean = report["geometric_mean_times_faster"]
    if mean is not None:
        print(f"geometric mean over the first {NUM_HEADLINE} cases: {mean:.2f} times")
    write(report, json_file)
    if picture is not None and report["rows"]:
        draw_picture(report).figure.savefig(picture)


def main(
    *,
    device="cpu",
    repeats=None,
    small=False,
    quick=False,
    only="",
    peers=False,
    crossover=False,
    json_file=None,
    picture=None,
):
    """Measure, print, write and draw.

    Args:
        device: `"cpu"`, `"gpu"` or `"all"`, which adds the crossover.
        repeats: Timed runs of each method; seven, or three of a quick measurement.
        small: Whether to take few draws, to see that everything runs.
        quick: Whether to leave out the peaks of memory, which take a run each.
        only: A part of the names of the cases to measure.
        peers: Whether to measure other packages too.
        crossover: Whether to find out from how many draws the GPU wins.
        json_file: Where to write the figures; for `"all"` with `_cpu` or `_gpu` added.
        picture: Where to draw them, likewise.

    Returns:
        One `{"device": ..., "versions": ..., "rows": [...]}` for each device, as in the
        files.

    Raises:
        SystemExit: If the device is not there, or a case failed.
    """
    repeats = repeats or (QUICK_REPEATS if quick else REPEATS)
    wanted = list(PLATFORMS) if device == "all" else [device]
    crossover = crossover or device == "all"
    names = {one: name_device(one) for one in (PLATFORMS if crossover else wanted)}
    missing = [one for one, name in names.items() if name is None]
    not_measured = [one for one in wanted if one in missing]
    for one in not_measured:
        print(f"{one}: {NOT_MEASURED} (no such device)")
    if not_measured == wanted:
        raise SystemExit(f"JAX finds no {device} here, so there is nothing to measure.")
    cases, reports = chosen_cases(small, only, peers), {}
    kept = {one: for_one(json_file, one, device) for one in wanted}
    for one in wanted:
        if one not in missing:
            timing = {"small": small, "repeats": repeats, "quick": quick}
            report = report_on(one, names[one], cases, kept[one], **timing)
            report["not_measured"] += not_measured
            reports[one] = report
    found = crossover_of(small, missing) if crossover else {}
    for one, report in reports.items():
        report |= found
        finish(report, kept[one], for_one(picture, one, device))
    failed = {
        case.name
        for _, case in cases
        for report in reports.values()
        if case.name in report["not_measured"]
    }
    if failed:
        raise SystemExit(f"Failed: {', '.join(sorted(failed))}.")
    return reports


def for_one(file, one, wanted):
    """`cost.json` becomes `cost_cpu.json` where `"all"` devices are wanted."""
    if file is None or wanted != "all":
        return file
    return str(Path(file).with_stem(f"{Path(file).stem}_{one}"))


def parse_arguments():
    """What the user asks for."""
    parser = argparse.ArgumentParser(description="Measure posterior trajectories.")
    add = parser.add_argument
    add("--device", choices=[*PLATFORMS, "all"], default="cpu", help="where to run")
    add("--repeats", type=int, help="runs of each method")
    add("--small", action="store_true", help="few draws, to see that it runs")
    add("--quick", action="store_true", help="few repeats, and no peaks of memory")
    add(
        "--cases",
        metavar="PART",
        dest="only",
        default="",
        help="cases with this in their names",
    )
    add("--peers", action="store_true", help="measure other packages too")
    add("--crossover", action="store_true", help="where a GPU beats the CPU")
    add("--json", metavar="FILE", dest="json_file", help="where to write the figures")
    add("--picture", metavar="FILE", help="where to draw them")
    return parser.parse_args()


if __name__ == "__main__":
    main(**vars(parse_arguments()))
