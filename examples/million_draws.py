"""A million draws: a risk that a thousand draws cannot see.

A stock of fish grows as Schaefer's model has it and gives a planned catch C, of which
boats get less once fish are few. With x the stock as a share of the unfished one, K:

    x' = r x (1 - x) - C / K x / (x + 0.05)

Nothing is fitted: r, K and the share now are log-normal, as wide and as correlated as a
fit might leave them. In nearly all draws the stock recovers; where r and K are low
together it collapses. How likely is that?

    python examples/million_draws.py

Draws are made, solved and counted chunk by chunk, on all cores. Each of several
processes takes its share of the same draws:

    python examples/million_draws.py localhost:9876 2 0 &
    python examples/million_draws.py localhost:9876 2 1
"""

import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

import BayesianJaxModels as bjm

PICTURE = Path(__file__).with_suffix(".png")
YEARS = np.linspace(0.0, 30.0, 121)
MEANS = np.log([0.35, 1143.0, 0.45])  # r a year, K in thousand tonnes, x now
SDS, CORRELATION = np.array([0.25, 0.25, 0.12]), -0.9  # of r and K
LIMIT = 0.2  # a stock that falls below has collapsed
PROBS = (1e-4, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1 - 1e-4)
BLOCK = 20_000  # draws in a call: it cuts them into a few chunks for each core
SMALL = {"num_draws": 2_000, "catch": 95.0}
CLOSING = """
The first thousand draws hold {:.0f} collapses; with none the risk would be known to be
below 3 in 1,000. Many draws make the Monte Carlo error small, and that error alone.
The far tail of a posterior is what a fit knows least: report an order of magnitude, and
ask whether weather, recruitment and obedience to the plan are in the model."""


class Stock(bjm.Module):
    """The logarithms of r, K and the share now; the catch is planned."""

    logs: bjm.AbstractParameter
    catch: jax.Array  # thousand tonnes a year

    def __call__(self, t, log_x, args):
        """The vector field of log(x), which no step of a solver takes below zero."""
        r, capacity, _ = jnp.exp(self.logs.mean)
        x = jnp.exp(log_x)
        return r * (1 - x) - self.catch / capacity / (x + 0.05)


def solve(drawn):
    """What was drawn, the trajectory, and its lowest stock."""
    trajectory = bjm.integrate(drawn, drawn.logs.mean[2], YEARS)
    x = jnp.exp(trajectory.ys)
    return drawn.logs.mean, replace(trajectory, ys=x), jnp.min(x)


def stream(fit, key, num_draws):
    """Count this process's share of the draws; what others count stays zero."""
    running, collapsing = bjm.RunningSummary(grid=(0.0, 1.2, 2_400)), []
    rows, size = np.zeros((num_draws, 4), np.float32), min(BLOCK, num_draws)
    for first in tqdm(range(0, num_draws, size), disable=jax.process_index() > 0):
        draws = {"key": jax.random.fold_in(key, first), "num_samples": size}
        for start, (logs, solves, low) in bjm.stream_posterior(solve, fit, **draws):
            running.update(solves)
            rows[first + start :][: len(low)] = np.column_stack([logs, low])
            collapsing.extend(solves.ys[low < LIMIT])
    return running.summary(PROBS), rows, collapsing


def draw(quantiles, collapsing, collapsed, output):
    """The stock's futures, and how the risk emerges from more and more draws."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for i, label in enumerate(("99.98 %", "98 %", "90 %", "50 %")):
        style = {"color": "C0", "alpha": 0.15 + 0.08 * i, "lw": 0, "label": label}
        left.fill_between(YEARS, quantiles[i], quantiles[-1 - i], **style)
    left.plot(YEARS, quantiles[4], color="C0", label="median")
    for i, line in enumerate(collapsing[:20]):
        label = "_" * bool(i) + "draws that collapse"
        left.plot(YEARS, line, color="C3", lw=0.8, label=label)
    left.axhline(LIMIT, color="k", ls=":")
    left.set(xlabel="years of the planned catch", ylabel="stock, share of the unfished")
    left.set(xlim=(0, 30), ylim=(0, 1.1), title="A stock with two futures")
    left.legend(fontsize="small", ncols=3, loc="upper left")
    many = np.unique(np.geomspace(100, len(collapsed), 400).astype(int))
    risk, counts = 1e4 * np.mean(collapsed), np.cumsum(collapsed)
    band = risk + np.outer([-2, 2], np.sqrt(1e4 * risk / many))
    right.fill_between(many, *band, color="0.85", label="where 95 % of such runs are")
    right.plot(many, 1e4 * counts[many - 1] / many, color="C3", label="this run")
    right.axvline(1_000, color="k", ls=":", label="1,000 draws")
    right.set(xscale="log", xlabel="draws", ylabel="collapses in 10,000 draws")
    right.set(ylim=(0, 6 * risk + 1e-9), title="What it takes to see the risk")
    right.legend(fontsize="small")
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(64).save(output, optimize=True)


def main(*, seed=0, num_draws=1_000_000, catch=75.0, output=PICTURE):
    """Stream the draws (above 20,000 a multiple of it), print, draw the picture."""
    covariance, begin = np.diag(SDS**2), time.perf_counter()
    covariance[0, 1] = covariance[1, 0] = CORRELATION * SDS[0] * SDS[1]
    model = Stock(bjm.make_parameter(MEANS), jnp.array(catch))
    fit = bjm.JointPosterior.gaussian(model, covariance)
    summary, rows, collapsing = stream(fit, jax.random.key(seed), num_draws)
    seconds = time.perf_counter() - begin
    parts = (summary.quantiles, summary.num_failed, rows)
    if jax.process_count() > 1:
        # Shares are of one size: the mean of their quantiles stands for that of all.
        parts = [part.sum(axis=0) for part in process_allgather(parts)]
        parts[0] = parts[0] / jax.process_count()
    quantiles, num_failed, rows = parts
    risk = np.mean(collapsed := rows[:, 3] < LIMIT)
    error = np.sqrt(risk * (1 - risk) / num_draws)
    if jax.process_index() == 0:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{num_draws:,} draws in {seconds:.1f} s, of which {num_failed} failed")
        all_mib = num_draws * len(YEARS) * 4 / 2**20
        print(f"peak memory: {peak:.0f} MiB; all stocks would take {all_mib:.0f} more")
        print(f"risk of a collapse: {risk:.3g}, Monte Carlo error {error:.1g}")
        print(CLOSING.format(np.sum(collapsed[:1_000])))
        draw(quantiles, collapsing, collapsed, output)
    results = {"quantiles": quantiles, "rows": rows, "num_failed": num_failed}
    return results | {"risk": risk, "error": error}


def join(address, num_processes, process):
    """Become one of several processes; `address` is the host:port of number 0."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, int(num_processes), int(process))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        join(*sys.argv[1:])
    main()
