"""Integrate a vector field."""

from collections.abc import Callable
from typing import Any

import diffrax
from jaxtyping import Array, ArrayLike, Bool, PyTree, Real

from .solve import Solve
from .trajectory import Trajectory


def integrate(
    vector_field: Callable,
    y0: PyTree | Callable,
    ts: Real[ArrayLike, "*N T"],
    *,
    t0: Real[ArrayLike, "..."] | Callable | None = None,
    mask: Bool[ArrayLike, "..."] | None = None,
    args: Any = None,
    args_axes: PyTree = None,
    jump_ts: Real[ArrayLike, "..."] | None = None,
    jumps: Any = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    atol: float | None = None,
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
            precision, so a solve in float32 takes dates as days or seconds. The vector
            field gets `t` itself, rounded to the precision of JAX.
        t0: The time of `y0`; `ts[0]` if `None`, with a warning where the first sample
            may come after the start: `ts` begins after zero, and within ten times its
            length. With `t0` one time will do, and none of `ts` may lie on its other
            side. It may be traced, a function of the vector field, or of shape `(N,)`.
        mask: Which of `ts` count, in their shape, for series of different length that
            are padded to one. Each solve ends at the last that counts; the others have
            the state of the last before them. Leave those out of the loss, with the
            same mask. Without `t0` the first time has to count.
        args: Passed to the vector field. Steps that grow in a quiet time can pass over
            a short input (an infusion, a pulse): name its edges in `jump_ts`. The knots
            of a `diffrax.LinearInterpolation` or `CubicInterpolation` in `args` or in
            the field are jumps by themselves, of more than 64 those where it turns
            most.
        args_axes: Which axes of `args` count the batched initial states, as `in_axes`
            of `jax.vmap`: `0` for the leading axis of each array, or a tree of axes,
            with `None` for what they share. For parameters of each pass
            `args=jnp.arange(N)` and let the field pick its own by that index.
        jump_ts: Times at which the vector field jumps, of shape `(J,)` or `(N, J)`, in
            any order and also outside of `ts`; NaN is padding. Steps end there. For
            adaptive steps alone. Gradients reach them.
        jumps: What happens to the state at known times: `Doses`, `Jumps`, or a tuple of
            them, or a function of the vector field that returns one, where amounts or
            times are parameters. A solve ends a step there and goes on from the state
            after it. Forwards in time, and for adaptive steps alone.
        solver: A diffrax solver; `diffrax.Tsit5()` if `None`.
        rtol: The relative error that a step may have; `1e-5` if `None`.
        atol: The absolute error that it may have besides, in the unit of the state;
            `1e-6` if `None`.
        stepsize_controller: `diffrax.PIDController(rtol, atol)` if `None`; with
            `diffrax.ConstantStepSize()` give `dt0`. An adaptive step that leads to
            infinity is taken again with a smaller size.
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
    return Solve(
        ts,
        y0=y0,
        t0=t0,
        mask=mask,
        args=args,
        args_axes=args_axes,
        jump_ts=jump_ts,
        jumps=jumps,
        solver=solver,
        rtol=rtol,
        atol=atol,
        stepsize_controller=stepsize_controller,
        dt0=dt0,
        adjoint=adjoint,
        event=event,
        max_steps=max_steps,
        progress_meter=progress_meter,
        batched=batched,
        shared_steps=shared_steps,
    )(vector_field)
