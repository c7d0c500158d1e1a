"""The case `van_der_pol` of `posterior_quality.py`: a Bayesian neural ODE.

From fifty noisy points of the Van der Pol oscillator on [0, 7] learn the vector field,
a network, with initial state and noise, and foretell the oscillator up to t = 14, with
the posterior of `neural_mixture.py`. A Gaussian process did that with a mean squared
error of 0.13 (Hegde, Yildiz, Lahdesmaki, Kaski & Heinonen 2022, arXiv:2106.10905).
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import posterior_pace
import scipy.integrate
from core import print_aligned
from matplotlib.figure import Figure
from neural_mixture import (
    FULL,
    SMALL,
    Problem,
    field_of,
    infer,
    make_prior,
    one_step_each,
    start_of,
)
from PIL import Image
from scipy.stats import norm

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

NUM_DATA, SPACING = 50, 7 / 49
TIMES = np.arange(100) * SPACING
START, NOISE_VARIANCE = (-1.5, 2.5), 0.05
NUM_DRAWS, MASS = 128, 0.9
FAR = 10.0  # a draw that leaves the oscillator so far behind has diverged

# The seeds of the noise. The prior was chosen on the seeds 1 to 6 by its ELBOs, the
# effort on these, 101 to 104 and 201 to 204 by the errors beyond t = 7; it had been run
# on the published noise too, earlier choices as well as this one. The fresh seeds were
# run once, after everything was fixed. The series below the noise is one and the same.
PUBLISHED = 121
NOISE_SEEDS = {"fresh": (301, 302, 303, 304), "seen": (1, 2, 3, 4)}
# What `--check` holds: the least and greatest median over the seeds of the published
# noise, and over fresh noise.
BARS = {
    "mse": (0.0, 0.10),
    "mnll": (-np.inf, 0.30),
    "coverage_in": (0.80, 0.98),
    "coverage_out": (0.90, 1.0),
}
LARGEST_FRESH_MSE = 0.15
MOST_SECONDS = 90.0


def exact_series():
    """The oscillator `x' = v`, `v' = (1 - x**2) v / 2 - x` at all times."""
    solution = scipy.integrate.solve_ivp(
        lambda t, y: [y[1], 0.5 * (1 - y[0] ** 2) * y[1] - y[0]],
        (0.0, TIMES[-1]),
        START,
        method="DOP853",
        t_eval=TIMES,
        rtol=1e-10,
        atol=1e-10,
    )
    return solution.y.T


def noisy_series(noise_seed):
    """The data: with the seed 121 those that were published."""
    noise = np.random.RandomState(noise_seed).normal(size=(1, NUM_DATA, 2))[0]
    return exact_series()[:NUM_DATA] + noise * NOISE_VARIANCE**0.5


def run(seed, noise_seed=PUBLISHED, small=False):
    """Infer, foretell and judge: the figures of a row, and `trajectories` to draw.

    In single precision, which is twice as fast: no engine is told from another here.
    """
    with jax.enable_x64(False):
        return _run(seed, noise_seed, SMALL if small else FULL)


def _run(seed, noise_seed, effort):
    data = jnp.asarray(noisy_series(noise_seed), float)
    ts = jnp.asarray(TIMES, float)
    problem = Problem(ts[:NUM_DATA], data, make_prior(), SPACING)
    key = jax.random.key(seed)
    start = time.perf_counter()
    posterior, elbos = infer(problem, key, effort)
    trajectories = bjm.posterior_trajectories(
        posterior,
        start_of,
        ts,
        key=jax.random.fold_in(key, 1),
        num_samples=NUM_DRAWS,
        vector_field=field_of,
        on_failure="keep",
        **one_step_each(len(TIMES), SPACING),
    )
    jax.block_until_ready(trajectories.ys)
    run_s = time.perf_counter() - start
    return {
        "engine": "mixture of full covariances",
        "seed": seed,
        "noise_seed": noise_seed,
        **judge(trajectories, exact_series()),
        "run_s": run_s,
        "elbos": np.asarray(elbos).tolist(),
        "weights": np.asarray(posterior.weights).tolist(),
        "trajectories": trajectories,
    }


def judge(trajectories, truth):
    """How near the noise-free series draws are, and how sure of it."""
    ys = np.asarray(trajectories.ys)
    near = np.asarray(trajectories.succeeded) & (np.abs(ys) < FAR).all(axis=(1, 2))
    ys, ahead = ys[near], slice(NUM_DATA, None)
    log_probs = norm.logpdf(truth, ys, NOISE_VARIANCE**0.5)
    by_time = bjm.calibration.coverage(ys, truth, (MASS,)).by_time[0]
    return {
        "mse": float(np.mean((ys.mean(axis=0) - truth)[ahead] ** 2)),
        "mnll": bjm.calibration.log_predictive_density(log_probs[:, ahead]).mnll,
        "coverage_in": float(by_time[:NUM_DATA].mean()),
        "coverage_out": float(by_time[ahead].mean()),
        "failed_draws": int(np.sum(~near)),
    }


def measure(seeds):
    """Rows for the published noise with all seeds, for other noise with the first."""
    pace_s = posterior_pace.seconds()
    # What a first call of the process costs, with a seed that no row has.
    cold_s = run(10_000)["run_s"]
    pace_s = (pace_s + posterior_pace.seconds()) / 2
    plan = [("published", seed, PUBLISHED) for seed in seeds]
    for kind, noise_seeds in NOISE_SEEDS.items():
        plan += [(kind, seeds[0], noise_seed) for noise_seed in noise_seeds]
    rows, drawn = [], []
    for kind, seed, noise_seed in plan:
        row = run(seed, noise_seed)
        drawn.append((kind, row, row.pop("trajectories")))
        row |= {"compile_s": cold_s - row["run_s"], "pace_s": pace_s}
        rows.append({"noise": kind, **row})
    return {"engines": rows, "medians": medians(rows)}, drawn


def medians(rows):
    """The median of each figure over the rows of each kind of noise."""
    found = {}
    for kind in dict.fromkeys(row["noise"] for row in rows):
        own = [row for row in rows if row["noise"] == kind]
        found[kind] = {bar: float(np.median([row[bar] for row in own])) for bar in BARS}
    return found


def print_rows(results):
    """A line for each run, and one for the medians of each kind of noise."""
    columns = ("failed_draws", "compile_s", "run_s")
    cells = [("noise", "noise seed", "seed", *BARS, *columns, "weights")]
    cells[0] = tuple(name.replace("_", " ") for name in cells[0])
    for row in results["engines"]:
        figures = [f"{row[name]:.3f}" for name in BARS]
        seconds = [f"{row[name]:.1f}" for name in columns[1:]]
        weights = " ".join(f"{weight:.2f}" for weight in row["weights"])
        cells.append(
            (row["noise"], str(row["noise_seed"]), str(row["seed"]), *figures)
            + (str(row["failed_draws"]), *seconds, weights)
        )
    for kind, middle in results["medians"].items():
        figures = [f"{middle[name]:.3f}" for name in BARS]
        cells.append((kind, "median", "", *figures, "", "", "", ""))
    print_aligned(cells)


def missed_bars(results):
    """One sentence for each figure that is beyond its bar."""
    missed = []
    for name, (low, high) in BARS.items():
        middle = results["medians"]["published"][name]
        if not low <= middle <= high:
            missed.append(
                f"The median {name} is {middle:.3f}, not {low:g} to {high:g}."
            )
    middle = results["medians"]["fresh"]["mse"]
    if not middle <= LARGEST_FRESH_MSE:
        bar = f"the bar {LARGEST_FRESH_MSE:g}"
        missed.append(f"The median mse over fresh noise is {middle:.3f}, {bar}.")
    for row in results["engines"]:
        seconds = row["compile_s"] + row["run_s"]
        stretch = posterior_pace.stretch(row["pace_s"])
        if row["noise"] == "published" and (
            row["failed_draws"] or not seconds <= MOST_SECONDS * stretch
        ):
            missed.append(
                f"Seed {row['seed']}: {row['failed_draws']} failed draws, the bar 0; "
                f"{seconds:.0f} s, the bar {MOST_SECONDS:g} (stretched {stretch:.2f} "
                "times)."
            )
    return missed


def picture(drawn, path):
    """Bands, data and truth: both states by seed, below it the first on fresh noise."""
    published = [one[1:] for one in drawn if one[0] == "published"]
    fresh = [one[1:] for one in drawn if one[0] == "fresh"]
    figure = Figure(figsize=(13, 9 if fresh else 6), layout="constrained")
    parts = figure.subfigures(
        1 + bool(fresh), 1, height_ratios=[2, 1][: 1 + bool(fresh)]
    )
    parts = np.atleast_1d(parts)
    grid = parts[0].subplots(2, len(published), sharex=True, sharey=True, squeeze=False)
    for (row, trajectories), column in zip(published, grid.T, strict=True):
        draw_panels(trajectories, row, column, f"published data, seed {row['seed']}")
    if fresh:
        [line] = parts[1].subplots(1, len(fresh), sharey=True, squeeze=False)
        for (row, trajectories), axes in zip(fresh, line, strict=True):
            draw_panels(trajectories, row, [axes], f"fresh noise {row['noise_seed']}")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(
        f"Van der Pol by a Bayesian neural ODE, {NUM_DATA} noisy points, a forecast;\n"
        f"covered: how much of the truth lies in the {100 * MASS:.0f} % band"
    )
    figure.savefig(path, dpi=100)
    # A third of the size, which a repository keeps for good.
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


def draw_panels(trajectories, row, axes, title):
    """As many states of one run as there are axes, the first of them with a title."""
    states = list(range(len(axes)))
    data = (TIMES[:NUM_DATA], noisy_series(row["noise_seed"]))
    plot.trajectories(
        trajectories,
        state=states,
        data=data,
        forecast_from=TIMES[NUM_DATA - 1],
        ax=axes,
        labels=["position x", "velocity v"][: len(axes)],
    )
    axes[0].get_legend().remove()
    for state, own in enumerate(axes):
        own.plot(
            TIMES, exact_series()[:, state], "--", color="C3", lw=1.2, label="truth"
        )
        own.set(xlim=(0, TIMES[-1]), ylim=(-4.2, 4.2), xticks=range(0, 15, 2))
        own.label_outer()
    covered = f"covered {100 * row['coverage_out']:.0f} %"
    axes[0].set_title(
        f"{title}\nforecast MSE {row['mse']:.3f}, {covered}", fontsize="medium"
    )
