"""How long a first result takes: cold, and again with what JAX keeps of the first run.

`examples/lynx_hare.py` runs in processes of its own: with an empty folder for compiled
programs, with the folder that this filled, and as it was in a version before. Seconds
of compiling are those of XLA, summed over the programs, of tracing those of Python.

python benchmarks/first_result.py --json benchmarks/results/first_result_cpu.json
python benchmarks/first_result.py --check
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core import describe_device, describe_versions, print_aligned

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = Path("examples") / "lynx_hare.py"
# The last version whose programs called the host, so that JAX kept none of them.
BEFORE = "cd402bc"
MOST_PROGRAMS = 30
# As shares of the first run, or of the version before, in one run of this.
SECOND_RUN, OF_BEFORE = 0.3, 0.95
MOST_TRIES = 3
EVENTS = {
    "/jax/core/compile/backend_compile_duration": "compile_s",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "trace_s",
    "/jax/core/compile/jaxpr_trace_duration": "trace_s",
}
COLUMNS = {
    "run": "{}",
    "seconds": "{:.1f}",
    "programs": "{}",
    "compile_s": "{:.2f}",
    "trace_s": "{:.2f}",
}


def count_programs(script, figures):
    """Run a script in this process, and write down what it compiled."""
    start = time.perf_counter()
    import jax

    found = {"programs": 0, "compile_s": 0.0, "trace_s": 0.0}

    def add(event, seconds, **_):
        if event in EVENTS:
            found[EVENTS[event]] += seconds
            found["programs"] += EVENTS[event] == "compile_s"

    jax.monitoring.register_event_duration_secs_listener(add)
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
    found["seconds"] = time.perf_counter() - start
    Path(figures).write_text(json.dumps(found))


def run(name, tree, cache):
    """The figures of the example of a source tree, with a folder for its programs."""
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "figures.json"
        command = [sys.executable, __file__, "--script", str(tree / EXAMPLE)]
        settings = {
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(tree / "src"),
        }
        subprocess.run(
            [*command, str(figures)],
            cwd=scratch,
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return {"run": name} | json.loads(figures.read_text())


def tree_of(commit, folder):
    """The files of a commit, or `None` where this copy of the project has none."""
    packed = subprocess.run(
        ["git", "archive", commit, "src", "examples"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if packed.returncode != 0:
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return folder


def measure(before):
    """The rows of the table: twice this version, and once the one before."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        rows = [
            run(name, ROOT, scratch / "programs")
            for name in ("first run", "second run")
        ]
        earlier = tree_of(before, scratch / "before")
        if earlier is not None:
            name = f"first run before ({before})"
            rows.append(run(name, earlier, scratch / "programs before"))
    return rows


def least_of(rows, again):
    """The rows of two measurements, of each figure the least."""
    return [
        {key: one[key] if key == "run" else min(one[key], other[key]) for key in one}
        for one, other in zip(rows, again, strict=True)
    ]


def ratios_of(rows):
    """What is shorter than what, and by how much."""
    first, second, *before = rows
    ratios = {
        f"second run over first, {key}": second[key] / first[key]
        for key in ("seconds", "compile_s")
    }
    for row in before:
        for key in ("seconds", "programs", "compile_s", "trace_s"):
            ratios[f"first run over the version before, {key}"] = first[key] / row[key]
    return ratios


def missed_by(rows):
    """The bars that were missed, in words."""
    first, second, *before = rows
    missed = []
    if first["programs"] > MOST_PROGRAMS:
        missed.append(f"{first['programs']} programs, at most {MOST_PROGRAMS}")
    if second["compile_s"] > SECOND_RUN * first["compile_s"]:
        missed.append(f"the second run compiles for {second['compile_s']:.1f} s")
    if before and first["compile_s"] > OF_BEFORE * before[0]["compile_s"]:
        missed.append(f"the first run compiles for {first['compile_s']:.1f} s")
    return missed


def main():
    """Measure, print, and compare with the bars if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT")
    parser.add_argument("--check", action="store_true", help="fail if a bar is missed")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--script", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.script:
        count_programs(*arguments.script)
        return
    rows = measure(arguments.before)
    # What else a machine does can only add to the seconds: a miss must show again.
    for _ in range(MOST_TRIES - 1):
        if not (arguments.check and missed_by(rows)):
            break
        rows = least_of(rows, measure(arguments.before))
    cells = [[form.format(row[key]) for key, form in COLUMNS.items()] for row in rows]
    print_aligned([list(COLUMNS), *cells])
    if len(rows) < 3:
        print(f"The version before was not measured: there is no {arguments.before}.")
    ratios = ratios_of(rows)
    print()
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    if arguments.json:
        report = {"device": describe_device(), "versions": describe_versions()}
        text = json.dumps(report | {"rows": rows, "ratios": ratios}, indent=1)
        arguments.json.write_text(text + "\n")
    if arguments.check and (missed := missed_by(rows)):
        sys.exit("Missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
