"""One good way to integrate a vector field."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree, Real

from .._check import is_float_array
from .._gradient import all_finite, guard_gradient
from ._patches.controller import RejectInfinite
from ._patches.implicit import call_with_finite_tangents
from ._patches.newton import without_lapack
from ._patches.stages import write_out_stages
from .arguments import AxisOfArrays, check_batch, check_derivative, check_state
from .clock import Clock, UsersTime, read_clock
from .event import read_with_end, save_with_end, with_users_words
from .jumps import step_to_jumps
from .trajectory import Trajectory

# What float32 holds over a solve of many steps, and what a log density needs: on noisy
# data of a predator and its prey, 1e-4 moved estimates by up to a quarter of a standard
# deviation; 1e-5 takes 1.4 times the steps.
RTOL, ATOL = 1e-5, 1e-6
CHECKPOINT_BYTES = 2**18


def integrate(
    vector_field: Callable,
    y0: PyTree | Callable,
    ts: Float[ArrayLike, "*N T"] | Clock,
    *,
    t0: Real[ArrayLike, "..."] | Callable | None = None,
    mask: Bool[ArrayLike, "..."] | None = None,
    args: Any = None,
    args_axes: PyTree = None,
    jump_ts: Float[ArrayLike, "..."] | None = None,
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
        y0: The state at `t0`, any pytree of float arrays; or a function of the vector
            field that returns it, for initial states that are parameters.
        ts: The times to save at, of shape `(T,)` with `T >= 2`, strictly increasing or
            strictly decreasing; or `(N, T)`, if each of `N` batched initial states has
            its own. What NumPy or Python holds is counted from the start in double
            precision, so that dates as days or seconds do for a solve in float32. The
            vector field is given `t` itself, rounded to the precision of JAX.
        t0: The time of `y0`; `ts[0]` if `None`. With it one time will do, and none
            of `ts` may lie on its other side. It may be a parameter that is not known
            yet, a function of the vector field, or of shape `(N,)`.
        mask: Which of `ts` count, in their shape, for series of different length that
            are padded to one. Each solve ends at the last that counts; at the others
            the state is that of the time before them, so that everything stays finite.
            Leave those out of the loss, with the same mask. Without `t0` the first
            time has to count.
        args: Handed to the vector field. Steps that grow in a quiet time can pass over
            a short input (an infusion, a pulse) and never see it: name its
            edges in `jump_ts`. The knots of a `diffrax.LinearInterpolation` or
            `CubicInterpolation` in `args` or in the field are jumps by themselves, of
            more than 64 those where it turns most.
        args_axes: Which axes of `args` count the batched initial states, as `in_axes`
            of `jax.vmap`: `0` for the leading axis of each array, or a tree of axes,
            with `None` for what they share. For parameters of each pass
            `args=jnp.arange(N)` and let the field pick its own by that index.
        jump_ts: Times at which the vector field jumps, of shape `(J,)` or `(N, J)`, in
            any order and also outside of `ts`; NaN is padding. Steps end there. For
            adaptive steps alone. Gradients reach them.
        solver: A diffrax solver; `diffrax.Tsit5()` if `None`.
        stepsize_controller: `diffrax.PIDController(rtol=1e-5, atol=1e-6)` if `None`;
            with `diffrax.ConstantStepSize()` give `dt0`. An adaptive step that leads
            to infinity is taken again with a smaller size.
        dt0: The first step, positive in either direction of time; chosen by the
            controller if `None`.
        adjoint: How gradients are computed. If `None`,
            `diffrax.RecursiveCheckpointAdjoint` with a checkpoint for every constant
            step, or as many adaptive ones as 256 KiB hold; `max_steps` is best a bound
            of the right size. In reverse mode a solve whose gradient is not finite
            passes none on, whichever the adjoint; forward mode has no such guard.
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
        `batched`. A solve that fails does not raise; its `succeeded` is false. Where
        `ts` was not traced it is kept in NumPy, as it was given.

    Raises:
        ValueError: If times or `mask` are not as above, `y0` is not finite, or the
            vector field returns another structure or shape than the state has. Times
            and states that are traced do not raise: their solve fails at once, with
            NaN for states and `diffrax.RESULTS.nonfinite`, and no other with it.
        TypeError: If `y0` does not consist of floats, times not of real numbers, or
            `event` is no `diffrax.Event`.

    Example:
        ```python
        ts = np.linspace(0.0, 4.0, 5)  # hours
        decay = bjm.integrate(lambda t, y, rate: -rate * y, 80.0, ts, args=0.5)
        decay.ys  # [80.00, 48.52, 29.43, 17.85, 10.83]
        decay.succeeded  # True
        days = 45_000 + np.array([1.0, 2.0])  # as spreadsheets count them
        decay = bjm.integrate(lambda t, y, k: -k * y, 80.0, days, t0=45_000, args=0.5)
        decay.ys  # [48.52, 29.43]
        ```

    References:
        Tsitouras (2011), "Runge-Kutta pairs of order 5(4) satisfying only the first
        column simplifying assumption", Computers & Mathematics with Applications 62;
        Kidger (2021), "On neural differential equations", arXiv:2202.02435: adjoints.
    """
    rows = batched and not shared_steps
    clock = ts
    if not isinstance(clock, Clock):
        least = 2 if t0 is None else 1
        clock = read_clock(clock, mask, jump_ts, least=least, rows=rows)
    span = clock.begin(t0(vector_field) if callable(t0) else t0)
    y0 = check_state(y0(vector_field) if callable(y0) else y0)
    if args_axes is not None and not batched:
        raise ValueError("`args_axes` is for initial states with `batched=True`.")
    if batched:
        check_batch(y0, span, args, args_axes)
        args_axes = jax.tree.map(AxisOfArrays, args_axes)
    check_derivative(vector_field, y0, span, args, args_axes, batched=batched)
    if stepsize_controller is None and batched and shared_steps:
        stepsize_controller = diffrax.PIDController(
            rtol=RTOL, atol=ATOL, norm=_largest_rms
        )
    elif stepsize_controller is None:
        stepsize_controller = diffrax.PIDController(rtol=RTOL, atol=ATOL)
    adaptive = isinstance(
        stepsize_controller, diffrax.AbstractAdaptiveStepSizeController
    )
    if span.jump_ts is not None and not adaptive:
        raise ValueError(
            "`jump_ts` needs an adaptive `stepsize_controller`, but "
            f"{type(stepsize_controller).__name__} takes its own steps. Choose them so "
            "that they end at the jumps, or leave the controller out."
        )
    if adjoint is None or adjoint == diffrax.RecursiveCheckpointAdjoint():
        checkpoints = _checkpoints(y0, max_steps, stepsize_controller)
        adjoint = diffrax.RecursiveCheckpointAdjoint(checkpoints)
    solver = write_out_stages(diffrax.Tsit5() if solver is None else solver, adjoint)
    solver = without_lapack(solver, y0, rows=rows)
    implicit = isinstance(solver, diffrax.AbstractImplicitSolver)
    event = None if event is None else with_users_words(event)
    if dt0 is not None:
        dt0 = jnp.abs(jnp.asarray(dt0, span.elapsed.dtype))

    is_finite = jax.vmap(all_finite)(y0) if batched else all_finite(y0)
    y0 = jax.tree.map(lambda leaf: jnp.where(_as_wide(is_finite, leaf), leaf, 1), y0)

    def solve(vector_field, y0, args, span, is_finite):
        # Nothing goes back through a solve in forward mode.
        if not isinstance(adjoint, diffrax.ForwardMode):
            # Fields and times shared between mapped initial states stay shared.
            inputs = (vector_field, y0, args, span)
            vector_field = guard_gradient(vector_field, mapped_with=vector_field)
            y0, args = guard_gradient((y0, args), mapped_with=inputs)
            span = guard_gradient(span, mapped_with=span)
        end = span.elapsed[-1]
        controller: Any = step_to_jumps(
            stepsize_controller, span.jump_ts, (vector_field, args), span.start, end
        )
        if adaptive:
            smallest = jnp.finfo(end.dtype).eps ** 2 * jnp.abs(end)
            controller = RejectInfinite(controller, smallest, is_finite)
        users_time = UsersTime(span.start, span.jump_ts)
        with jax.default_matmul_precision("highest"):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(_Call(implicit)),
                solver,
                t0=jnp.zeros_like(end),
                t1=end,
                dt0=dt0 if dt0 is None else jnp.where(end >= 0, dt0, -dt0),
                y0=y0,
                args=(vector_field, args, users_time),
                saveat=save_with_end(span.elapsed)
                if event
                else diffrax.SaveAt(ts=span.elapsed),
                stepsize_controller=controller,
                adjoint=adjoint,
                event=event,
                max_steps=max_steps,
                progress_meter=progress_meter or diffrax.NoProgressMeter(),
                throw=False,
            )
        ys, end = (
            read_with_end(solution, span.elapsed) if event else (solution.ys, None)
        )
        if end is not None:
            end = replace(end, t=users_time(end.t))
        (ys, end), result = _fail_unless(
            span.is_valid & is_finite, (ys, end), solution.result
        )
        return ys, result, solution.stats["num_steps"], None, end

    if not batched:
        return Trajectory(clock.ts, *solve(vector_field, y0, args, span, is_finite))
    if not shared_steps:
        solve_each = eqx.filter_vmap(solve, in_axes=(None, 0, args_axes, span.axes, 0))
        return Trajectory(
            clock.ts, *solve_each(vector_field, y0, args, span, is_finite)
        )
    together = _Together(vector_field, args_axes)
    ys, *rest, end = solve(together, y0, args, span, jnp.array(True))
    ys = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), ys)
    result, num_steps, weights = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, is_finite.shape), tuple(rest)
    )
    end = None if end is None else end.shared_by(is_finite.size)
    (ys, end), result = jax.vmap(_fail_unless)(is_finite, (ys, end), result)
    return Trajectory(clock.ts, ys, result, num_steps, weights, end)


def _as_wide(flags: Array, leaf: Array) -> Array:
    """With as many axes as `leaf`, whose first ones they have."""
    return flags.reshape(*flags.shape, *(1,) * (leaf.ndim - flags.ndim))


def _fail_unless(
    is_valid: Bool[Array, ""], states: PyTree, result: diffrax.RESULTS
) -> tuple[PyTree, diffrax.RESULTS]:
    """NaN, and a result that says so, for what could not be solved for."""
    states = jax.tree.map(
        lambda leaf: (
            jnp.where(is_valid, leaf, jnp.nan) if is_float_array(leaf) else leaf
        ),
        states,
    )
    failed: Any = diffrax.RESULTS.nonfinite
    return states, diffrax.RESULTS.where(is_valid, result, failed)


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

    def __call__(self, t, y, inputs):
        vector_field, args, users_time = inputs
        t = users_time(t)
        if self.implicit:
            return call_with_finite_tangents(vector_field, t, y, args)
        return vector_field(t, y, args)


class _Together(eqx.Module):
    """Many states as one system."""

    vector_field: Callable
    args_axes: Any

    def __call__(self, t, y, args):
        def call(state, args):
            return self.vector_field(t, state, args)

        return eqx.filter_vmap(call, in_axes=(0, self.args_axes))(y, args)


def _largest_rms(errors: PyTree) -> Float[Array, ""]:
    """The root mean square error of the worst state in a batch."""
    leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(errors)]
    return jnp.max(jnp.sqrt(jnp.mean(jnp.concatenate(leaves, axis=1) ** 2, axis=1)))
