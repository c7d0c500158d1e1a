"""One good way to integrate a vector field."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree

from .._model.gradient import guard_gradient
from .check import check_derivative, check_state, check_times
from .controller import RejectInfinite
from .event import read_with_end, save_with_end, with_users_words
from .implicit import call_with_finite_tangents
from .newton import without_lapack
from .stages import write_out_stages
from .trajectory import Trajectory

# What float32 can hold over a solve of many steps.
RTOL, ATOL = 1e-4, 1e-6
CHECKPOINT_BYTES = 2**18


def integrate(
    vector_field: Callable,
    y0: PyTree | Callable,
    ts: Float[ArrayLike, "*N T"],
    *,
    mask: Bool[ArrayLike, "..."] | None = None,
    args: Any = None,
    solver: diffrax.AbstractSolver | None = None,
    stepsize_controller: diffrax.AbstractStepSizeController | None = None,
    dt0: float | Array | None = None,
    adjoint: diffrax.AbstractAdjoint | None = None,
    event: diffrax.Event | None = None,
    max_steps: int | None = 1024,
    progress_meter: diffrax.AbstractProgressMeter | None = None,
    batched: bool = False,
    shared_steps: bool = False,
) -> Trajectory:
    """Solve `dy/dt = vector_field(t, y, args)` from `y0` and save at `ts`.

    Products of matrices run at full float32 precision, whatever a GPU's default is:
    with less, an adaptive solver takes many times the steps.

    Args:
        vector_field: A callable pytree of signature `(t, y, args)`, in the unit of the
            state per unit of time; gradients reach its arrays.
        y0: The state at `ts[0]`, any pytree of float arrays; or a function of the
            vector field that returns it, for initial states that are parameters.
        ts: The times to save at, of shape `(T,)` with `T >= 2`, strictly increasing or
            strictly decreasing; or `(N, T)`, if each of `N` batched initial states has
            its own.
        mask: Which of `ts` count, in their shape, for series of different length that
            are padded to one. Each solve ends at the last that counts; at the others
            the state is that of the time before them, so that everything stays finite.
            Leave those out of the loss, with the same mask.
        args: Handed to the vector field.
        solver: A diffrax solver; `diffrax.Tsit5()` if `None`.
        stepsize_controller: `diffrax.PIDController(rtol=1e-4, atol=1e-6)` if `None`;
            with `diffrax.ConstantStepSize()` give `dt0`. An adaptive step that leads
            to infinity is taken again with a smaller size.
        dt0: The first step, positive in either direction of time; chosen by the
            controller if `None`.
        adjoint: How gradients are computed. If `None`,
            `diffrax.RecursiveCheckpointAdjoint` with a checkpoint for every constant
            step, or as many adaptive ones as 256 KiB hold; `max_steps` is best a bound
            of the right size. In reverse mode a solve whose gradient is not finite
            passes none on; forward mode has no such guard.
        event: When to stop early: a `diffrax.Event` whose conditions are called as
            `condition(t, y, args, **kwargs)` with the state of one solve. With
            `shared_steps` that is the whole batch, and an event ends all of it. The
            field is `kwargs["terms"].vector_field`, for conditions on its parameters.
            `Trajectory` has `t_end`, `y_end` and which times were reached; at the
            others `ys` is NaN, also where a steady state would last: take `y_end`.
            With a `root_finder`, such as `optimistix.Newton(1e-5, 1e-5)`, a condition
            that is a float ends the solve where it is zero. Otherwise the solve ends
            with the step in which the condition is met, which may be much later.
        max_steps: How many steps a solve may take.
        progress_meter: A diffrax progress meter.
        batched: Whether every leaf of `y0` has a leading axis of initial states.
        shared_steps: Whether batched initial states are solved as one system, with the
            steps that the most demanding of them needs. Otherwise each has its own.

    Returns:
        A `Trajectory` with `ys` of shape `(T, *state)`, or `(N, T, *state)` if
        `batched`. A solve that fails does not raise; its `succeeded` is false.

    Raises:
        ValueError: If `ts` or `mask` is not as above (a `RuntimeError` when it runs,
            where they are traced), or the vector field returns another structure or
            shape than the state has.
        TypeError: If `y0` does not consist of floats, `ts` not of real numbers, or
            `event` is no `diffrax.Event`.

    Example:
        ```python
        ts = np.linspace(0.0, 4.0, 5)  # hours
        decay = bjm.integrate(lambda t, y, rate: -rate * y, 80.0, ts, args=0.5)
        decay.ys  # [80.00, 48.52, 29.43, 17.85, 10.83]
        decay.succeeded  # True
        ```

    References:
        Tsitouras (2011), "Runge-Kutta pairs of order 5(4) satisfying only the first
        column simplifying assumption", Computers & Mathematics with Applications 62;
        Kidger (2021), "On neural differential equations", arXiv:2202.02435: adjoints.
    """
    ts = check_times(ts, mask, rows=batched and not shared_steps)
    y0 = check_state(y0(vector_field) if callable(y0) else y0)
    check_derivative(vector_field, y0, ts, args, batched)
    if stepsize_controller is None and batched and shared_steps:
        stepsize_controller = diffrax.PIDController(
            rtol=RTOL, atol=ATOL, norm=_largest_rms
        )
    elif stepsize_controller is None:
        stepsize_controller = diffrax.PIDController(rtol=RTOL, atol=ATOL)
    if isinstance(stepsize_controller, diffrax.AbstractAdaptiveStepSizeController):
        stepsize_controller = RejectInfinite(stepsize_controller)
    if adjoint is None or adjoint == diffrax.RecursiveCheckpointAdjoint():
        checkpoints = _checkpoints(y0, max_steps, stepsize_controller)
        adjoint = diffrax.RecursiveCheckpointAdjoint(checkpoints)
    solver = write_out_stages(diffrax.Tsit5() if solver is None else solver, adjoint)
    solver = without_lapack(solver, y0, rows=batched and not shared_steps)
    implicit = isinstance(solver, diffrax.AbstractImplicitSolver)
    event = None if event is None else with_users_words(event)
    if dt0 is not None:
        dt0 = jnp.abs(jnp.asarray(dt0, ts.dtype))
    reverse_mode = not isinstance(adjoint, diffrax.ForwardMode | diffrax.DirectAdjoint)

    def solve(vector_field, y0, args, ts):
        signed_dt0 = dt0 if dt0 is None else jnp.where(ts[-1] > ts[0], dt0, -dt0)
        if reverse_mode:
            inputs = (vector_field, y0, args)
            # A field that is shared between mapped initial states stays shared.
            vector_field = guard_gradient(vector_field, mapped_with=vector_field)
            y0, args = guard_gradient((y0, args), mapped_with=inputs)
        with jax.default_matmul_precision("highest"):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(_Call(implicit)),
                solver,
                t0=ts[0],
                t1=ts[-1],
                dt0=signed_dt0,
                y0=y0,
                args=(vector_field, args),
                saveat=save_with_end(ts) if event else diffrax.SaveAt(ts=ts),
                stepsize_controller=stepsize_controller,
                adjoint=adjoint,
                event=event,
                max_steps=max_steps,
                progress_meter=progress_meter or diffrax.NoProgressMeter(),
                throw=False,
            )
        ys, end = read_with_end(solution, ts) if event else (solution.ys, None)
        return ys, solution.result, solution.stats["num_steps"], None, end

    if not batched:
        return Trajectory(ts, *solve(vector_field, y0, args, ts))
    if not shared_steps:
        in_axes = (None, 0, None, 0 if ts.ndim > 1 else None)
        solve_each = eqx.filter_vmap(solve, in_axes=in_axes)
        return Trajectory(ts, *solve_each(vector_field, y0, args, ts))
    size = jax.tree.leaves(y0)[0].shape[0]
    ys, *rest, end = solve(_Together(vector_field), y0, args, ts)
    return Trajectory(
        ts,
        jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), ys),
        *jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size,)), tuple(rest)),
        end=None if end is None else end.shared_by(size),
    )


def _checkpoints(
    y0: PyTree,
    max_steps: int | None,
    stepsize_controller: diffrax.AbstractStepSizeController,
) -> int | None:
    """One for every step, or as many as memory allows; `None` for diffrax's choice.

    With one for every step none is solved for more than twice. With fewer, stretches of
    steps are solved for again, and XLA may round their times otherwise. A save time at
    the end of a constant step then falls into another step than before, and its
    gradient is lost: 50 steps over a unit of time in float32 do that. So constant steps
    have one each, at any size.
    """
    if max_steps is None:
        return None
    if isinstance(stepsize_controller, diffrax.ConstantStepSize):
        return max_steps
    # The state, the last slope, and a few numbers of the loop.
    num_bytes = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(y0)) + 64
    fitting = min(max_steps, CHECKPOINT_BYTES // num_bytes)
    return fitting if fitting > (2 * max_steps) ** 0.5 else None


class _Call(eqx.Module):
    """The field goes to diffrax as an argument, so that every adjoint sees it."""

    implicit: bool = eqx.field(static=True)

    def __call__(self, t, y, field_and_args):
        vector_field, args = field_and_args
        if self.implicit:
            return call_with_finite_tangents(vector_field, t, y, args)
        return vector_field(t, y, args)


class _Together(eqx.Module):
    """Many states as one system."""

    vector_field: Callable

    def __call__(self, t, y, args):
        return jax.vmap(lambda state: self.vector_field(t, state, args))(y)


def _largest_rms(errors: PyTree) -> Float[Array, ""]:
    """The root mean square error of the worst state in a batch."""
    leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(errors)]
    return jnp.max(jnp.sqrt(jnp.mean(jnp.concatenate(leaves, axis=1) ** 2, axis=1)))
