"""What posterior trajectories cost: the driver beside one `jit(vmap(draw, integrate))`.

The baseline is frozen: a key and a `jax.random.normal` for each parameter, the network
written out, and diffrax called under one `vmap` over all draws. Both methods take turns
in one process, so that their ratio holds on a machine that does other things too.

Run `python sampling_cost.py`; with `--json FILE` the figures are written down.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from core import describe_device, describe_versions
from jax import random

import BayesianJaxModels as bjm

BASELINE, DRIVER = "jit(vmap)", "posterior_trajectories"
NUM_SAVED, MAX_STEPS, INIT_RAW_STDV = 11, 1024, 0.3
# (state, width, hidden layers), draws, fixed steps or None for adaptive ones.
CASES = {
    "(2, 32, 1), 1,000 draws, 20 steps": ((2, 32, 1), 1_000, 20),
    "(2, 64, 2), 1,000 draws, 100 steps": ((2, 64, 2), 1_000, 100),
    "(8, 64, 2), 10,000 draws, adaptive": ((8, 64, 2), 10_000, None),
    "(16, 128, 2), 2,000 draws, 100 steps": ((16, 128, 2), 2_000, 100),
    "(2, 32, 1), 100,000 draws, 20 steps": ((2, 32, 1), 100_000, 20),
}
TRAINING = "training, 8 draws of (2, 32, 1), 32 states, 50 steps"


def make_field(sizes):
    """The model of a case, with weights wide enough that the draws differ."""
    state, width, depth = sizes
    return bjm.NeuralVectorField(
        state,
        width=width,
        depth=depth,
        init_raw_stdv=INIT_RAW_STDV,
        key=random.key(0),
    )


def solver_settings(num_steps):
    """Fixed steps, or adaptive ones at a tolerance of 1e-4."""
    if num_steps is None:
        controller = diffrax.PIDController(rtol=1e-4, atol=1e-4)
        return {"stepsize_controller": controller, "dt0": None}
    return {
        "stepsize_controller": diffrax.ConstantStepSize(),
        "dt0": 1 / num_steps,
    }


def network(t, y, weights):
    """The perceptron of the field, written out."""
    for i, (W, b) in enumerate(weights):
        y = W @ y + b
        y = y if i == len(weights) - 1 else jnp.tanh(y)
    return y


def hand_draw(arrays, key):
    """A key and a `random.normal` for each parameter."""
    keys = random.split(key, len(arrays))
    values = [
        mean + (raw**2 + 1e-4) * random.normal(key, mean.shape)
        for (mean, raw), key in zip(arrays, keys, strict=True)
    ]
    return list(zip(values[::2], values[1::2], strict=True))


def solve(weights, y0, settings):
    """One solve with diffrax, saved at 11 times."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(network),
        diffrax.Tsit5(),
        t0=0.0,
        t1=1.0,
        y0=y0,
        args=weights,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 1.0, NUM_SAVED)),
        max_steps=MAX_STEPS,
        throw=False,
        **settings,
    )
    return solution.ys, solution.stats["num_steps"]


def arrays_of(field):
    """The `(mean, raw_stdv)` of every parameter."""
    return [(p.mean, p.raw_stdv) for p in field.get_parameters().values()]


def methods_of(case):
    """The two methods of a case: functions of a seed that return ys and steps."""
    sizes, num_draws, num_steps = CASES[case]
    field, settings = make_field(sizes), solver_settings(num_steps)
    arrays, y0 = arrays_of(field), jnp.ones(sizes[0])
    ts = jnp.linspace(0.0, 1.0, NUM_SAVED)

    @jax.jit
    def vmapped(arrays, key):
        keys = random.split(key, num_draws)
        return jax.vmap(lambda key: solve(hand_draw(arrays, key), y0, settings))(keys)

    def baseline(seed):
        return jax.block_until_ready(vmapped(arrays, random.key(seed)))

    def driver(seed):
        trajectory = bjm.posterior_trajectories(
            field,
            y0,
            ts,
            key=random.key(seed),
            num_samples=num_draws,
            max_steps=MAX_STEPS,
            **settings,
        )
        return jax.block_until_ready((trajectory.ys, trajectory.num_steps))

    return {BASELINE: baseline, DRIVER: driver}


def training_methods():
    """Value and gradient of a loss over 8 draws and 32 initial states."""
    field, settings = make_field((2, 32, 1)), solver_settings(50)
    arrays, ts = arrays_of(field), jnp.linspace(0.0, 1.0, NUM_SAVED)
    y0 = random.normal(random.key(1), (32, 2))

    @jax.jit
    @jax.value_and_grad
    def each_state_alone(arrays, key):
        def one(key):
            weights = hand_draw(arrays, key)
            return jax.vmap(lambda start: solve(weights, start, settings)[0])(y0)

        return jnp.mean(jax.vmap(one)(random.split(key, 8)) ** 2)

    @jax.jit
    @jax.value_and_grad
    def states_together(field, key):
        def one(drawn):
            return bjm.integrate(
                drawn,
                y0,
                ts,
                batched=True,
                shared_steps=True,
                max_steps=64,
                **settings,
            ).ys

        draws = bjm.map_posterior_pure(one, field, key=key, num_samples=8)
        return jnp.mean(draws**2)

    return {
        BASELINE: lambda seed: jax.block_until_ready(
            each_state_alone(arrays, random.key(seed))
        ),
        "integrate, shared steps": lambda seed: jax.block_until_ready(
            states_together(field, random.key(seed))
        ),
    }


def error_of(case):
    """Largest error over 100 draws against float64 at a tolerance of 1e-10."""
    sizes, _, num_steps = CASES[case]
    field = make_field(sizes)
    drawn = bjm.map_posterior(
        lambda drawn: [p.mean for p in bjm.get_parameters(drawn).values()],
        field,
        key=random.key(0),
        num_samples=100,
    )
    found = bjm.posterior_trajectories(
        field,
        jnp.ones(sizes[0]),
        jnp.linspace(0.0, 1.0, NUM_SAVED),
        key=random.key(0),
        num_samples=100,
        **solver_settings(num_steps),
    ).ys
    with jax.enable_x64(True):
        values = [jnp.asarray(np.asarray(value, np.float64)) for value in drawn]
        weights = list(zip(values[::2], values[1::2], strict=True))
        tight = {
            "stepsize_controller": diffrax.PIDController(rtol=1e-10, atol=1e-10),
            "dt0": None,
        }
        exact = jax.jit(
            jax.vmap(lambda w: solve(w, jnp.ones(sizes[0], jnp.float64), tight)[0])
        )(weights)
        return float(np.max(np.abs(np.asarray(exact) - np.asarray(found, np.float64))))


def peak_mib(case, method):
    """The peak memory of a process that runs one method once, over its start."""
    command = [sys.executable, __file__, "--peak", case, method]
    printed = subprocess.check_output(command, text=True).split()[-1]
    return None if printed == "None" else float(printed)


def print_peak(case, method):
    """What `peak_mib` runs; `None` where the system does not say."""
    methods = methods_of(case)
    start = high_water_mib()
    methods[method](0)
    print(None if start is None else high_water_mib() - start)


def high_water_mib():
    """The most memory this process ever held.

    Not `resource.getrusage`, whose maximum a process inherits from its parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    [line] = [line for line in status.read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) / 1024


def measure(case, repeats):
    """The rows of one case: the methods in turn, compiled before."""
    training = case == TRAINING
    methods = training_methods() if training else methods_of(case)
    compile_s, steps = {}, {}
    for name, method in methods.items():
        start = time.perf_counter()
        result = method(0)
        first = time.perf_counter() - start
        steps[name] = None if training else np.asarray(result[1])
        start = time.perf_counter()
        method(0)
        compile_s[name] = first - (time.perf_counter() - start)
    seconds = {name: [] for name in methods}
    for repeat in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            method(repeat + 1)
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name in methods:
        median = statistics.median(seconds[name])
        pairs = zip(seconds[BASELINE], seconds[name], strict=True)
        row = {
            "case": case,
            "method": name,
            "compile_s": compile_s[name],
            "median_s": median,
            "min_s": min(seconds[name]),
            "times_faster": statistics.median(ours / mine for ours, mine in pairs),
        }
        if not training:
            row |= {
                "draws_per_s": CASES[case][1] / median,
                "peak_mib": peak_mib(case, name),
                "steps_mean": float(steps[name].mean()),
                "steps_max": int(steps[name].max()),
                "error": error_of(case) if name == DRIVER else None,
            }
        rows.append(row)
        print(
            f"{case:52} {name:24} {median * 1e3:9.1f} ms"
            f" {row['times_faster']:6.2f} times",
            flush=True,
        )
    return rows


def main(*, repeats=7, json_file=None):
    """Measure every case, print and write.

    Args:
        repeats: Timed runs of each method.
        json_file: Where to write the figures.

    Returns:
        `{"device": ..., "versions": ..., "rows": [...]}`, as in the file.
    """
    report = {"device": describe_device(), "versions": describe_versions()}
    print(report["device"])
    report["rows"] = [
        row for case in [*CASES, TRAINING] for row in measure(case, repeats)
    ]
    if json_file is not None:
        Path(json_file).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure posterior trajectories.")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each method")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
    else:
        main(repeats=arguments.repeats, json_file=arguments.json)
