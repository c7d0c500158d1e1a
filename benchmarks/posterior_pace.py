"""How fast this machine is right now: a plain solve, compiled and run.

    python benchmarks/posterior_pace.py

Machines differ, and one that is shared is at times half as fast as at others. Bars in
seconds hold at the pace of the machine whose results are in the repository; where this
takes longer, the bars of `posterior_quality.py --check` are stretched by as much.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp

NUM_RUNS, NUM_DRAWS = 20, 100
RECORDED = Path(__file__).parent / "results" / "posterior_lynx_hare_cpu.json"


def solve(rates):
    """The sum of all populations of lynx and hare at 21 times."""
    alpha, beta, gamma, delta = rates
    term = diffrax.ODETerm(
        lambda t, y, args: jnp.stack([alpha - beta * y[1], delta * y[0] - gamma]) * y
    )
    ts = jnp.linspace(0.0, 20.0, 21)
    solution = diffrax.diffeqsolve(
        term,
        diffrax.Tsit5(),
        ts[0],
        ts[-1],
        0.01,
        jnp.array([30.0, 4.0]),
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6),
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    return jnp.sum(solution.ys)


def seconds():
    """The seconds of a program of its own: tracing, compiling, twenty runs."""
    output = subprocess.check_output([sys.executable, __file__], text=True)
    return float(output.splitlines()[-1])


def stretch(pace_s):
    """By how much the seconds of a bar are stretched where this took `pace_s`."""
    recorded = json.loads(RECORDED.read_text())["engines"]
    usual_s = statistics.median(row["pace_s"] for row in recorded)
    return max(1.0, pace_s / usual_s)


def main():
    """Print the seconds."""
    rates = jnp.array([0.55, 0.028, 0.84, 0.026])
    many = rates * jnp.linspace(0.9, 1.1, NUM_DRAWS)[:, None]
    start = time.perf_counter()
    gradients = jax.jit(jax.vmap(jax.jacfwd(solve)))
    for _ in range(NUM_RUNS):
        gradients(many).block_until_ready()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
