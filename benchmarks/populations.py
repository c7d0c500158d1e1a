"""What the posterior of a population costs, how right it is, and how that grows.

Theophylline by `infer` beside its reference and beside NumPyro; and simulated
populations of more and more subjects. Each has a process of its own, in which nothing
is compiled at first.

python benchmarks/populations.py --json benchmarks/results/populations_cpu.json
python benchmarks/populations.py --check --quick
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from core import describe_device, describe_versions, print_aligned

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "examples" / "data" / "theophylline_reference.csv"
NUM_SUBJECTS, QUICK = (25, 50, 100, 200), (50, 200)
# Beside the reference: distances of means in sds of it, and ratios of sds.
LARGEST_Z, SD_RATIOS, LONGEST_COLD_S = 0.25, (0.8, 1.25), 40.0
# Of seconds and memory per subject, the largest population beside that of `BASE`.
BASE, LARGEST_GROWTH = 50, 1.25
MOST_TRIES = 3
COSTS = ("cold_s", "run_s", "cpu_s", "peak_mib")
# Draws of each population. Fewer where only the growth is asked for.
NUM_DRAWS, FEW_DRAWS = 4_000, 500
PEER_NEEDS = ("numpyro", "arviz_stats")
COLUMNS = {
    "theophylline by": "{}",
    "cold_s": "{:.1f}",
    "run_s": "{:.2f}",
    "max_abs_z": "{:.3f}",
    "min_sd_ratio": "{:.2f}",
    "max_sd_ratio": "{:.2f}",
    "k_hat": "{:.2f}",
}
COLUMNS_OF_SUBJECTS = {
    "subjects": "{}",
    "cold_s": "{:.1f}",
    "run_s": "{:.2f}",
    "run_ms_each": "{:.1f}",
    "cpu_s": "{:.1f}",
    "peak_mib": "{:.0f}",
    "peak_mib_each": "{:.2f}",
    "k_hat": "{:.2f}",
    "k_hat_correction": "{:.2f}",
    "k_hat_subjects": "{:.2f}",
    "ess": "{:.0f}",
}


def beside_reference(moments):
    """How far means and sds by name are from those of the reference, at the most."""
    lines = REFERENCE.read_text().splitlines()
    expected = list(csv.DictReader(line for line in lines if line[0] != "#"))
    places = [(one["quantity"], int(one["index"])) for one in expected]
    mean, sd = (
        np.array([np.ravel(moments[name][which])[index] for name, index in places])
        for which in range(2)
    )
    of_mean, of_sd = (
        np.array([float(one[what]) for one in expected]) for what in ("mean", "sd")
    )
    ratios = sd / of_sd
    return {
        "max_abs_z": float(np.max(np.abs(mean - of_mean) / of_sd)),
        "min_sd_ratio": float(ratios.min()),
        "max_sd_ratio": float(ratios.max()),
    }


def in_a_process(script, *words):
    """What a script prints that is told when it began, with nothing compiled before."""
    settings = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return json.loads(
        subprocess.check_output(
            [*command, str(time.time())], env=os.environ | settings, text=True
        ).splitlines()[-1]
    )


def peer():
    """NumPyro's row, or that there is none."""
    name = {"theophylline by": "NumPyro"}
    missing = [package for package in PEER_NEEDS if find_spec(package) is None]
    if missing:
        return name | {"not measured": f"no {', '.join(missing)} installed"}
    found = in_a_process("population_peer.py")
    return name | beside_reference(found.pop("moments")) | found


def measure_theophylline():
    """One row: that of `infer`."""
    found = in_a_process("population_cases.py", "theophylline")
    return [beside_reference(found.pop("moments")) | found]


def measure_subjects(counts, num_draws):
    """A row for each population."""
    return [
        in_a_process("population_cases.py", "subjects", count, num_draws)
        for count in counts
    ]


def least_of(rows, again):
    """The rows of two measurements, of each cost the least; the rest is the same."""
    return [
        one | {key: min(one[key], other[key]) for key in COSTS if one.get(key)}
        for one, other in zip(rows, again, strict=True)
    ]


def tried(measure, missed, most_tries):
    """Rows, measured again while a bar is missed: what else runs adds to seconds."""
    rows = measure()
    for _ in range(most_tries - 1):
        if not missed(rows):
            break
        rows = least_of(rows, measure())
    return rows


def growth_of(rows):
    """Costs per subject of the largest population over those of `BASE` subjects."""
    [base] = [row for row in rows if row["subjects"] == BASE]
    last, ratios = rows[-1], {}
    for key in ("run_s", "cpu_s", "peak_mib"):
        if base[key] is not None:
            each = [row[key] / row["subjects"] for row in (base, last)]
            ratios[f"{key} per subject, {last['subjects']} over {BASE}"] = (
                each[1] / each[0]
            )
    return ratios


def slow(rows):
    """Whether theophylline took too long."""
    if (seconds := rows[0]["cold_s"]) >= LONGEST_COLD_S:
        return [f"theophylline takes {seconds:.1f} s, at most {LONGEST_COLD_S:.0f}"]
    return []


def wrong(rows):
    """Where the posterior of theophylline is not that of the reference."""
    low, high = SD_RATIOS
    least, most = rows[0]["min_sd_ratio"], rows[0]["max_sd_ratio"]
    missed = []
    if not rows[0]["max_abs_z"] < LARGEST_Z:
        missed.append(f"|z| up to {rows[0]['max_abs_z']:.3f}, at most {LARGEST_Z}")
    if not low <= least <= most <= high:
        missed.append(f"sds of {least:.2f} to {most:.2f} of the reference")
    return missed


def growing(rows):
    """What grows faster than the number of subjects."""
    return [
        f"{name}: {ratio:.2f}, at most {LARGEST_GROWTH}"
        for name, ratio in growth_of(rows).items()
        if ratio > LARGEST_GROWTH and not name.startswith("cpu_s")
    ]


def print_rows(columns, rows):
    """A table, with a dash for what a row has not."""
    cells = [
        [
            "-" if row.get(key) is None else form.format(row[key])
            for key, form in columns.items()
        ]
        for row in rows
    ]
    print_aligned([list(columns), *cells])
    for row in rows:
        if "not measured" in row:
            print(f"{row['theophylline by']}: not measured ({row['not measured']})")
    print()


def main():
    """Measure, print, and compare with the bars if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a bar is missed")
    parser.add_argument(
        "--quick", action="store_true", help="no NumPyro, few populations and draws"
    )
    parser.add_argument("--draws", type=int, default=NUM_DRAWS, help="of each of them")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    most_tries = MOST_TRIES if arguments.check else 1
    rows = tried(measure_theophylline, slow, most_tries)
    missed = slow(rows) + wrong(rows)
    if not arguments.quick:
        rows.append(peer())
    print_rows(COLUMNS, rows)
    counts = QUICK if arguments.quick else NUM_SUBJECTS
    num_draws = FEW_DRAWS if arguments.quick else arguments.draws
    grown = tried(lambda: measure_subjects(counts, num_draws), growing, most_tries)
    for row in grown:
        row["run_ms_each"] = 1e3 * row["run_s"] / row["subjects"]
        if row["peak_mib"] is not None:
            row["peak_mib_each"] = row["peak_mib"] / row["subjects"]
    print_rows(COLUMNS_OF_SUBJECTS, grown)
    for name, ratio in growth_of(grown).items():
        print(f"{name}: {ratio:.2f}")
    if arguments.json:
        report = {"device": describe_device(), "versions": describe_versions()}
        report |= {"theophylline": rows, "subjects": grown, "draws": num_draws}
        text = json.dumps(report | {"growth": growth_of(grown)}, indent=1)
        arguments.json.write_text(text + "\n")
    if arguments.check and (missed := missed + growing(grown)):
        sys.exit("Missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
