"""The cases of `sampling_cost.py`, and what is true in them.

Each has a model, and beside it the same written out: the draw and the vector field.
"""

from dataclasses import dataclass, replace
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import random

import BayesianJaxModels as bjm

NUM_SAVED, MAX_STEPS, INIT_RAW_STDV = 11, 1024, 0.3
MANY_SAVED = 100
NUM_STARTS, SMALLER = 32, 50


@dataclass(frozen=True)
class Case:
    """What is solved.

    Attributes:
        sizes: State, width and hidden layers of a `NeuralVectorField`.
        num_draws: How many draws of the weights.
        num_steps: Fixed steps; adaptive ones if `None`.
        horizon: The last time.
        kind: `"neural"`, `"stiff"`, `"training"`, or `"given"` for weights that the
            methods do not draw.
        num_saved: How many times are saved.
    """

    sizes: tuple[int, ...]
    num_draws: int
    num_steps: int | None = None
    horizon: float = 1.0
    kind: str = "neural"
    num_saved: int = NUM_SAVED

    @property
    def name(self) -> str:
        """What the table calls it."""
        count, size = f"{self.num_draws:,}", f"({', '.join(map(str, self.sizes))})"
        steps = f"{self.num_steps} steps"
        if self.num_steps is None:
            steps = f"adaptive to t = {self.horizon:g}"
        if self.num_saved != NUM_SAVED:
            steps += f", {self.num_saved} times"
        return {
            "neural": f"{size}, {count} draws, {steps}",
            "given": f"{size}, {count} given weights, {steps}",
            "stiff": f"stiff, 4 states, {count} draws, {steps}",
            "training": f"training, {count} draws of {size}, {NUM_STARTS} states, "
            f"{steps}",
        }[self.kind]

    @property
    def ts(self) -> jax.Array:
        """The times that are saved."""
        return jnp.linspace(0.0, self.horizon, self.num_saved)

    @property
    def y0(self) -> jax.Array:
        """The initial state, or the initial states to train with."""
        if self.kind == "training":
            return random.normal(random.key(1), (NUM_STARTS, self.sizes[0]))
        return jnp.eye(4)[0] if self.kind == "stiff" else jnp.ones(self.sizes[0])

    @property
    def settings(self) -> dict[str, Any]:
        """Solver and steps."""
        if self.num_steps is not None:
            controller = diffrax.ConstantStepSize()
            dt0 = self.horizon / self.num_steps
            return settings_of(diffrax.Tsit5(), controller, dt0)
        if self.kind == "stiff":
            # In float32 Kvaerno5 does not get through with a smaller `atol`.
            controller = diffrax.PIDController(rtol=1e-3, atol=1e-4)
            return settings_of(diffrax.Kvaerno5(), controller)
        return settings_of(diffrax.Tsit5(), diffrax.PIDController(rtol=1e-4, atol=1e-4))

    def smaller(self) -> "Case":
        """The same with few draws, to see that it runs."""
        return replace(self, num_draws=max(self.num_draws // SMALLER, 8))


GIVEN = Case((8, 64, 2), 1_000, horizon=10.0, kind="given")
CASES = (
    Case((2, 32, 1), 1_000, 20),
    Case((2, 64, 2), 1_000, 100),
    Case((8, 64, 2), 10_000, horizon=10.0),
    Case((16, 128, 2), 2_000, 100),
    Case((2, 32, 1), 100_000, 20),
    Case((4,), 1_000, horizon=10.0, kind="stiff"),
    Case((2, 64, 2), 8, 50, kind="training"),
    Case((2, 32, 1), 1_000, 20, num_saved=MANY_SAVED),
    Case((2, 32, 1), 100_000, 20, num_saved=MANY_SAVED),
    Case((8, 64, 2), 10_000, horizon=10.0, num_saved=MANY_SAVED),
    GIVEN,
)


def settings_of(solver, controller, dt0=None):
    """What both methods hand to diffrax."""
    return {"solver": solver, "stepsize_controller": controller, "dt0": dt0}


class Reactions(bjm.Module):
    """A -> B <-> C -> D, fast in the middle and of second order in C at the end.

    Attributes:
        log_rates: The logarithms of the four rates.
    """

    log_rates: bjm.AbstractParameter

    def __call__(self, t, y, args):
        """The vector field."""
        first, forth, back, last = jnp.exp(self.log_rates.mean)
        a, b, c, _ = y
        into_b, into_c, into_d = first * a, forth * b - back * c, last * c**2
        return jnp.stack([-into_b, into_b - into_c, into_c - into_d, into_d])


def make_field(case):
    """The model of a case, with widths that make the draws differ."""
    if case.kind == "stiff":
        log_rates = jnp.log(jnp.array([1.0, 1e3, 1e1, 1.0]))
        return Reactions(bjm.make_parameter(log_rates, init_raw_stdv=INIT_RAW_STDV))
    state, width, depth = case.sizes
    return bjm.NeuralVectorField(
        state,
        width=width,
        depth=depth,
        init_raw_stdv=INIT_RAW_STDV,
        key=random.key(0),
    )


def network(t, y, values):
    """The perceptron of the field, written out."""
    weights = list(zip(values[::2], values[1::2], strict=True))
    for i, (W, b) in enumerate(weights):
        y = W @ y + b
        y = y if i == len(weights) - 1 else jnp.tanh(y)
    return y


def reactions(t, y, values):
    """The right-hand side of `Reactions`, written out."""
    k = jnp.exp(values[0])
    step_1, step_2 = k[0] * y[0], k[1] * y[1] - k[2] * y[2]
    step_3 = k[3] * y[2] ** 2
    return jnp.array([-step_1, step_1 - step_2, step_2 - step_3, step_3])


def hand_draw(arrays, key):
    """A key and a `random.normal` for each parameter."""
    keys = random.split(key, len(arrays))
    return [
        mean + (raw**2 + 1e-4) * random.normal(key, mean.shape)
        for (mean, raw), key in zip(arrays, keys, strict=True)
    ]


def solve(case, values, y0, settings, max_steps=MAX_STEPS):
    """One solve with diffrax, saved at the times of the case."""
    right_hand_side = reactions if case.kind == "stiff" else network
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(right_hand_side),
        t0=0.0,
        t1=case.horizon,
        y0=y0,
        args=values,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, case.horizon, case.num_saved)),
        max_steps=max_steps,
        throw=False,
        **settings,
    )
    return solution.ys, solution.stats["num_steps"]


def arrays_of(field):
    """The `(mean, raw_stdv)` of every parameter."""
    return [(p.mean, p.raw_stdv) for p in bjm.get_parameters(field).values()]


def means_of(field):
    """The mean of every parameter; in a drawn model, what was drawn."""
    return [p.mean for p in bjm.get_parameters(field).values()]


def means_of_pairs(arrays):
    """The same in what `arrays_of` returns."""
    return [mean for mean, _ in arrays]


def exact_values(case, weights):
    """The values of `Method.run` in float64 at a tolerance of 1e-10, on the CPU.

    A GPU would take minutes for so many small steps.
    """
    controller = diffrax.PIDController(rtol=1e-10, atol=1e-10)
    y0, solver = case.y0, case.settings["solver"]
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        y0, *weights = [jnp.asarray(np.asarray(w, np.float64)) for w in (y0, *weights)]
        settings = settings_of(solver, controller)

        def one(values, y0):
            return solve(case, values, y0, settings, max_steps=2**14)[0]

        if case.kind != "training":
            return [np.asarray(jax.jit(jax.vmap(one, (0, None)))(weights, y0))]

        def loss(weights):
            over_states = jax.vmap(one, (None, 0))
            return jnp.mean(jax.vmap(over_states, (0, None))(weights, y0) ** 2)

        # The mean is added to every draw, so its gradient is the sum of theirs.
        return [np.asarray(g.sum(0)) for g in jax.jit(jax.grad(loss))(weights)]


def largest_error(found, exact):
    """The largest difference; `found` may have more draws."""
    return max(
        float(np.max(np.abs(np.asarray(ours, np.float64)[: len(theirs)] - theirs)))
        for ours, theirs in zip(found, exact, strict=True)
    )
