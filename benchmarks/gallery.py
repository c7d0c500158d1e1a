"""Run every example as its reader would, one after the other, and time them.

The pictures in `examples` are drawn by this alone.

python benchmarks/gallery.py
python benchmarks/gallery.py pendulum influenza --small --output pictures
python benchmarks/gallery.py --json benchmarks/results/examples_cpu.json
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from core import describe_device, describe_versions

EXAMPLES = Path(__file__).parent.parent / "examples"
SHARED = "common"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != SHARED)


def run(name, small, folder):
    """Run one example in a process of its own; returns the seconds it took."""
    script, picture = EXAMPLES.resolve() / f"{name}.py", folder / f"{name}.png"
    picture.unlink(missing_ok=True)
    command = [sys.executable, str(script), *(["--small"] if small else [])]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    seconds = time.perf_counter() - start
    if not picture.exists():
        raise FileNotFoundError(f"{name}.py drew no {picture}.")
    return seconds


def main():
    """Run those that were asked for, all if none was, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--small", action="store_true", help="the tests' settings")
    parser.add_argument("--output", type=Path, default=EXAMPLES, help="for pictures")
    parser.add_argument("--json", type=Path, help="where the seconds go")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no example is called {', '.join(sorted(unknown))}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.names or NAMES:
        print(f"\n== {name}", flush=True)
        seconds = run(name, arguments.small, arguments.output)
        rows.append({"name": name, "seconds": round(seconds, 1)})
    print()
    for row in rows:
        print(f"{row['name']:20}{row['seconds']:8.1f} s")
    print(f"{'all':20}{sum(row['seconds'] for row in rows):8.1f} s")
    if arguments.json:
        report = {"device": describe_device(), "versions": describe_versions()}
        text = json.dumps(report | {"examples": rows}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
