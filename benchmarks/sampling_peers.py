"""The peers of `sampling_cost.py`: other packages on the same weights.

All solve with pairs of order 5 and 4 at the same tolerance. SciPy takes one draw after
another, torchdiffeq all of them with the same steps, torchode each with its own.
"""

import importlib

import jax
import numpy as np
from sampling_cases import make_field, solve
from sampling_methods import (
    BASELINE,
    DRIVER,
    NUM_CHECKED,
    Method,
    driver_of,
    weights_of_driver,
)

TOLERANCES = {"rtol": 1e-4, "atol": 1e-4}
# A Runge-Kutta step of these pairs calls the field six times, the choice of the first
# step twice before.
CALLS_PER_STEP, CALLS_BEFORE = 6, 2


def given_methods(case):
    """The baseline with given weights, our driver and all peers that are there."""
    field = make_field(case)
    weights = weights_of_driver(case, field, 0, most=case.num_draws)
    numbers = [np.asarray(value) for value in weights]
    y0, settings = case.y0, case.settings

    @jax.jit
    def vmapped(weights):
        return jax.vmap(lambda values: solve(case, values, y0, settings))(weights)

    def baseline(seed):
        ys, steps = jax.block_until_ready(vmapped(weights))
        return [ys], steps

    def first_weights(seed):
        return [value[:NUM_CHECKED] for value in weights]

    missing, driver = missing_peers(), driver_of(case, field)
    return {
        BASELINE: Method(baseline, first_weights),
        DRIVER: Method(lambda seed: driver(0), first_weights),
    } | {
        name: Method(make(case, numbers), first_weights, compiles=False)
        for name, make in PEERS.items()
        if name not in missing
    }


def missing_peers():
    """Why a peer is not measured, by name."""
    missing = {}
    on_gpu = jax.default_backend() == "gpu"
    for name in PEERS:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            wanted = error.name == name
            missing[name] = "not installed" if wanted else f"needs {error.name}"
        except Exception as error:
            missing[name] = f"cannot be imported: {error}"
        else:
            if on_gpu and name == "scipy":
                missing[name] = "runs on CPUs only"
            elif on_gpu and not importlib.import_module("torch").cuda.is_available():
                missing[name] = "this PyTorch sees no GPU"
    return missing


def with_scipy(case, weights):
    """One draw after another; SciPy counts in float64."""
    from scipy.integrate import solve_ivp

    ts, y0 = np.linspace(0.0, case.horizon, case.num_saved), np.asarray(case.y0, float)
    weights = [np.asarray(value, float) for value in weights]

    def network(t, y, layers):
        for W, b in layers[:-1]:
            y = np.tanh(W @ y + b)
        W, b = layers[-1]
        return W @ y + b

    def run(seed):
        ys, calls = [], []
        for values in zip(*weights, strict=True):
            layers = list(zip(values[::2], values[1::2], strict=True))
            solution = solve_ivp(
                network,
                (ts[0], ts[-1]),
                y0,
                method="RK45",
                t_eval=ts,
                args=(layers,),
                **TOLERANCES,
            )
            ys.append(solution.y.T)
            calls.append(solution.nfev)
        return [np.stack(ys)], count_steps(np.array(calls))

    return run


def with_torchdiffeq(case, weights):
    """All draws as one system."""
    import torch
    import torchdiffeq

    network, ts, y0 = torch_problem(case, weights)

    @torch.no_grad()
    def run(seed):
        calls = [0]

        def counted(t, y):
            calls[0] += 1
            return network(t, y)

        ys = torchdiffeq.odeint(counted, y0, ts, method="dopri5", **TOLERANCES)
        return [ys.cpu().numpy().swapaxes(0, 1)], count_steps(np.array(calls))

    return run


def with_torchode(case, weights):
    """All draws at once, each with its own steps."""
    import torch
    import torchode

    network, ts, y0 = torch_problem(case, weights)
    term = torchode.ODETerm(network)
    controller = torchode.IntegralController(term=term, **TOLERANCES)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), controller)
    problem = torchode.InitialValueProblem(y0=y0, t_eval=ts.repeat(len(y0), 1))

    @torch.no_grad()
    def run(seed):
        solution = solver.solve(problem)
        return [solution.ys.cpu().numpy()], solution.stats["n_steps"].cpu().numpy()

    return run


def torch_problem(case, weights):
    """The networks of all draws in PyTorch, the times and the initial states."""
    import torch

    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    values = [torch.tensor(value, device=device) for value in weights]
    layers = [
        (W, b[:, :, None]) for W, b in zip(values[::2], values[1::2], strict=True)
    ]

    def network(t, y):
        y = y[:, :, None]
        for W, b in layers[:-1]:
            y = torch.tanh(torch.baddbmm(b, W, y))
        W, b = layers[-1]
        return torch.baddbmm(b, W, y)[:, :, 0]

    ts = torch.linspace(0.0, case.horizon, case.num_saved, device=device)
    return network, ts, torch.ones(case.num_draws, case.sizes[0], device=device)


def count_steps(calls):
    """Steps, the rejected ones included, from calls of the field."""
    return (calls - CALLS_BEFORE) // CALLS_PER_STEP


PEERS = {
    "scipy": with_scipy,
    "torchdiffeq": with_torchdiffeq,
    "torchode": with_torchode,
}
