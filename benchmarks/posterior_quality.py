"""How good posteriors are: every engine beside a reference.

    python benchmarks/posterior_quality.py lynx_hare --json FILE --picture FILE
    python benchmarks/posterior_quality.py score --draws reference_draws.csv

Cases: `lynx_hare`, `influenza` and `skewed`, whose posteriors are known; `van_der_pol`,
a Bayesian neural ODE whose truth is known; `calibration` and `population`,
simulation-based calibration of the machinery. Times are of all that a user waits for,
from the prior to the posterior; `compile_s` is what a first call takes beyond that.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import posterior_calibration
import posterior_neural
import posterior_pace
import posterior_population
from core import describe_device, describe_versions, print_aligned
from matplotlib.figure import Figure
from posterior_cases import CASES, score
from posterior_engines import ENGINES

import BayesianJaxModels as bjm

NUM_DRAWS = 40_000
NUM_SEEDS = 5
# Cases without a reference posterior, each with its own measures, bars and picture.
OTHER_CASES = {
    "van_der_pol": posterior_neural,
    "calibration": posterior_calibration,
    "population": posterior_population,
}
NUM_OTHER_SEEDS = 3
# Stan's rule for its own samplers, the grey bands of the picture.
LARGEST_Z = 0.25
SD_RATIOS = (0.8, 1.25)
# What the engines are held to by `--check`: the greatest |z|, the least and greatest
# ratio of standard deviations, and the seconds of a run and of a first call.
BARS = {
    "importance": (0.08, 0.92, 1.10, 2.0, 12.0),
    "full_covariance": (0.18, 0.80, 1.10, np.inf, np.inf),
    "linear_response": (0.18, 0.80, 1.10, np.inf, np.inf),
    "nuts": (0.12, 0.88, 1.12, np.inf, 30.0),
}
# On the skewed case these pass Stan's rule, and what fails it must be flagged.
SKEWED_BARS = dict.fromkeys(
    ("importance", "nuts"), (LARGEST_Z, *SD_RATIOS, np.inf, np.inf)
)


def clock(call, *args):
    """What a call returns, and its seconds."""
    start = time.perf_counter()
    result = jax.block_until_ready(call(*args))
    return result, time.perf_counter() - start


def measure(case, name, seeds):
    """The rows of one engine and of its quantities, over all seeds."""
    engine, rows, quantities = ENGINES[name], [], []
    pace_s = posterior_pace.seconds()
    # What a first call of the process costs, with a key that no seed has.
    _, cold_s = clock(engine, case, jax.random.key(10_000))
    for seed in seeds:
        key = jax.random.key(seed)
        posterior, run_s = clock(engine, case, key)
        mean, stdv, failed = describe(case, posterior, jax.random.fold_in(key, 2))
        reference_mean, reference_stdv = case.reference
        z, ratio = (mean - reference_mean) / reference_stdv, stdv / reference_stdv
        row = {
            "engine": name,
            "seed": seed,
            "max_abs_z": np.max(np.abs(z)),
            "min_sd_ratio": np.min(ratio),
            "max_sd_ratio": np.max(ratio),
            "compile_s": cold_s - run_s,
            "run_s": run_s,
            "failed_draws": failed,
            **judge(case, posterior, jax.random.fold_in(key, 3)),
        }
        rows.append(row)
        values = zip(case.names, *case.reference, mean, stdv, strict=True)
        fields = ("quantity", "reference_mean", "reference_sd", "mean", "sd")
        for line in values:
            quantities.append(
                {"engine": name, "seed": seed, **dict(zip(fields, line, strict=True))}
            )
    pace_s = (pace_s + posterior_pace.seconds()) / 2
    return [row | {"pace_s": pace_s} for row in rows], quantities


def measure_apart(name, engine, num_seeds):
    """`measure` in a process of its own, where nothing is compiled yet."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "rows.json"
        command = [sys.executable, __file__, name, "--engines", engine]
        command += ["--seeds", str(num_seeds), "--json", str(output)]
        subprocess.run(command, check=True)
        found = json.loads(output.read_text())
    return found["engines"], found["quantities"]


def describe(case, posterior, key):
    """Means and standard deviations of the quantities, and how many draws failed."""
    every = isinstance(posterior, bjm.DrawsPosterior)
    values = bjm.map_posterior(
        case.quantities, posterior, key=key, num_samples=None if every else NUM_DRAWS
    )
    values = np.asarray(values)
    weights = np.asarray(posterior.weights if every else np.ones(len(values)))
    good = np.isfinite(values).all(axis=1)
    weights = weights[good] / weights[good].sum()
    mean = weights @ values[good]
    stdv = np.sqrt(weights @ (values[good] - mean) ** 2)
    return mean, stdv, int(np.sum(~good))


def judge(case, posterior, key):
    """What the package itself says of a posterior."""
    found = getattr(posterior, "diagnostics", None)
    if isinstance(found, bjm.ImportanceDiagnostics):
        return {"k_hat": float(found.k_hat), "ess": float(found.ess)}
    if found is not None:
        return {
            "r_hat": float(np.max(found.r_hat)),
            "ess": float(min(np.min(found.ess_bulk), np.min(found.ess_tail))),
            "divergences": int(np.sum(found.num_divergent)),
        }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the flag is in the table
        found = bjm.diagnose(case.log_density, posterior, key=key)
    return {"k_hat": float(found.k_hat), "trustworthy": found.trustworthy}


def print_engines(rows):
    """One line for each engine: the worst of its seeds."""
    cells = [
        ("engine", "seeds", "max |z|", "sd ratio", "k-hat", "R-hat", "ess", "failed")
        + ("compile s", "run s")
    ]
    for name in dict.fromkeys(row["engine"] for row in rows):
        own = [row for row in rows if row["engine"] == name]

        def worst(key, pick, form="{:.2f}", own=own):
            found = [row[key] for row in own if key in row]
            return form.format(pick(found)) if found else ""

        ratios = worst("min_sd_ratio", min) + "-" + worst("max_sd_ratio", max)
        cells.append(
            (name, str(len(own)), worst("max_abs_z", max, "{:.3f}"), ratios)
            + (worst("k_hat", max), worst("r_hat", max, "{:.3f}"))
            + (worst("ess", min, "{:.0f}"), worst("failed_draws", max, "{}"))
            + (worst("compile_s", max, "{:.1f}"), worst("run_s", max))
        )
    print_aligned(cells)


def missed_bars(results):
    """One sentence for each figure of a case that is beyond its bar."""
    name, rows = results["case"], results["engines"]
    if name in OTHER_CASES:
        return OTHER_CASES[name].missed_bars(results)
    missed, bars = [], SKEWED_BARS if name == "skewed" else BARS
    for row in rows:
        place = f"{row['engine']}, seed {row['seed']}"
        if row.get("trustworthy") and name == "skewed":
            missed.append(f"{place}: wrong, and not flagged.")
        if row["engine"] not in bars:
            continue
        largest_z, low, high, run_s, cold_s = bars[row["engine"]]
        stretch = posterior_pace.stretch(row["pace_s"])
        first_s = row["compile_s"] + row["run_s"]
        diverged = row.get("divergences", 0)
        for figure, value, bar, fails in (
            ("max |z|", row["max_abs_z"], largest_z, row["max_abs_z"] > largest_z),
            ("least sd ratio", row["min_sd_ratio"], low, row["min_sd_ratio"] < low),
            ("largest sd ratio", row["max_sd_ratio"], high, row["max_sd_ratio"] > high),
            ("run", row["run_s"], run_s, row["run_s"] > run_s * stretch),
            ("first run", first_s, cold_s, first_s > cold_s * stretch),
            ("divergences", diverged, 0, diverged > 0),
        ):
            if fails:
                missed.append(
                    f"{place}: {figure} is {value:.3g}, the bar {bar:g} (seconds "
                    f"stretched {stretch:.2f} times)."
                )
    return missed


def picture(case, quantities, path):
    """Every quantity of every engine: how far off, and how wide, beside the rule."""
    engines = list(dict.fromkeys(row["engine"] for row in quantities))
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.axvspan(-LARGEST_Z, LARGEST_Z, color="0.9", lw=0)
    right.axvspan(*SD_RATIOS, color="0.9", lw=0)
    spread = np.random.default_rng(0)
    for place, name in enumerate(engines):
        own = [row for row in quantities if row["engine"] == name]
        columns = ("mean", "reference_mean", "sd", "reference_sd")
        mean, expected, sd, width = (
            np.array([row[column] for row in own]) for column in columns
        )
        heights = place + spread.uniform(-0.3, 0.3, len(own))
        style = {"ls": "", "marker": ".", "ms": 4, "alpha": 0.6, "color": f"C{place}"}
        left.plot((mean - expected) / width, heights, **style)
        right.plot(sd / width, heights, **style)
    left.set_yticks(range(len(engines)), [name.replace("_", " ") for name in engines])
    left.invert_yaxis()
    left.set_xlabel("(mean - reference) / reference sd")
    right.set_xlabel("sd / reference sd")
    right.axvline(1, color="0.5", lw=0.8)
    left.axvline(0, color="0.5", lw=0.8)
    figure.suptitle(
        f"{case.name}: {len(case.names)} quantities; grey is Stan's rule for a sampler"
    )
    figure.savefig(path, dpi=100)


def ask_peer(rows):
    """NumPyro's row, in a process of its own, with effective draws a second beside it.

    A second of a first call, compilation included, and of a compiled one.
    """
    command = [sys.executable, str(Path(__file__).with_name("posterior_peer.py"))]
    output = subprocess.check_output(command, text=True)
    peer = json.loads(output.splitlines()[-1])
    cells = [("engine", "ess", "compile s", "run s", "times NumPyro's", "first call")]
    lines = [peer]
    for name in ("nuts", "importance"):
        lines += [row for row in rows if row["engine"] == name][:1]
    for row in lines:
        row["ess_per_s"] = row["ess"] / row["run_s"]
        row["ess_per_s_of_first"] = row["ess"] / (row["compile_s"] + row["run_s"])
        times = [
            f"{row[rate] / peer[rate]:.1f}"
            for rate in ("ess_per_s", "ess_per_s_of_first")
        ]
        numbers = [f"{row[name]:.1f}" for name in ("ess", "compile_s", "run_s")]
        cells.append((row["engine"], *numbers, *times))
    print_aligned(cells)
    return peer


def compare(name, engines, num_seeds, json_path, picture_path, peers=False):
    """Measure, print, write down and draw one case."""
    case, rows, quantities = CASES[name](), [], []
    for engine in engines:
        if len(engines) == 1:
            found = measure(case, engine, range(num_seeds))
        else:
            found = measure_apart(name, engine, num_seeds)
        rows, quantities = rows + found[0], quantities + found[1]
    print_engines(rows)
    results = {"engines": rows, "quantities": quantities}
    if peers:
        results["peers"] = [ask_peer(rows)]
    if picture_path:
        picture(case, quantities, picture_path)
    return write(name, results, json_path)


def report(name, num_seeds, json_path, picture_path):
    """`compare` for the cases that have no reference."""
    module = OTHER_CASES[name]
    results, to_draw = module.measure(range(num_seeds))
    module.print_rows(results)
    if picture_path:
        module.picture(to_draw, picture_path)
    return write(name, results, json_path)


def write(name, results, json_path):
    """Add what was measured where, and write it down if there is a path."""
    where = {"device": describe_device(), "versions": describe_versions()}
    results = {"case": name, **where, **results}
    if json_path:
        # Five digits: what a repository keeps for good should be small.
        text = json.dumps(results, default=float)
        short = json.loads(text, parse_float=lambda x: float(f"{float(x):.5g}"))
        text = json.dumps(short, indent=0, separators=(",", ":"))
        Path(json_path).write_text(text + "\n")
    return results


def main(arguments=None):
    """Run the case on the command line; returns what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("case", choices=[*CASES, *OTHER_CASES, "score"])
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--picture", metavar="FILE")
    parser.add_argument(
        "--peers", action="store_true", help="lynx_hare: NumPyro's NUTS in the same run"
    )
    parser.add_argument(
        "--check", action="store_true", help="fail if an engine misses its bars"
    )
    parser.add_argument("--draws", metavar="PATH", help="reference draws, for `score`")
    chosen = parser.parse_args(arguments)
    if chosen.case == "score":
        if chosen.draws is None:
            parser.error("`score` needs `--draws PATH`, a CSV file of reference draws.")
        return score(chosen.draws)
    engines = chosen.engines.split(",")
    unknown = set(engines) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engines {sorted(unknown)}; there are {list(ENGINES)}.")
    if chosen.peers and chosen.case != "lynx_hare":
        parser.error("`--peers` is for lynx_hare.")
    output = (chosen.json, chosen.picture)
    if chosen.case in OTHER_CASES:
        results = report(chosen.case, chosen.seeds or NUM_OTHER_SEEDS, *output)
    else:
        results = compare(
            chosen.case, engines, chosen.seeds or NUM_SEEDS, *output, chosen.peers
        )
    if chosen.check:
        missed = missed_bars(results)
        if missed:
            parser.exit(1, "".join(f"{line}\n" for line in missed))
    return results


if __name__ == "__main__":
    # A log density near -100 keeps three decimals in single precision: enough for a
    # band, not for telling engines apart.
    jax.config.update("jax_enable_x64", True)
    main()
