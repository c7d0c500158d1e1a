"""How a model is solved: one object for the times, the start and the solver."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree, Real

from .._check import is_float_array
from .._gradient import all_finite, guard_gradient
from .._model import check_model, has_values
from ._jumps import (
    AbstractJumps,
    Jumping,
    JumpsTogether,
    add_slopes,
    check_known,
    jump_now,
    jump_where_saved,
    run_forwards,
    settle_jumps,
    with_stops,
)
from ._patches.checks import diffeqsolve
from ._patches.controller import RejectInfinite
from ._patches.implicit import call_with_finite_tangents
from ._patches.loop import with_short_end
from ._patches.newton import without_lapack
from ._patches.stages import write_out_stages
from .arguments import AxisOfArrays, check_batch, check_derivative, check_state
from .clock import Clock, UsersTime, read_clock, warn_of_early_start
from .event import read_with_end, save_with_end, with_users_words
from .steps import can_step, check_steps, step_to_jumps
from .trajectory import Trajectory

# What float32 holds over a solve of many steps, and what a log density needs: on noisy
# data of a predator and its prey, 1e-4 moved estimates by up to a quarter of a standard
# deviation; 1e-5 takes 1.4 times the steps.
RTOL, ATOL = 1e-5, 1e-6
CHECKPOINT_BYTES = 2**18


class Solve(eqx.Module):
    """How a model is solved, said once and used wherever it is.

    `solve(model)` is the `Trajectory` that `integrate` returns: for a drawn model in a
    log density, in your own loss, or for every draw of a posterior,
    `map_posterior(solve, posterior, key=key, num_samples=1_000)`. It is a pytree: its
    arrays may change without a new compilation.

    Args:
        ts: The times to save at, as in `integrate`. They are read at once, in double
            precision.
        y0: The state at `t0`, or a function of the model that returns it.
        t0: The time of `y0`, or a function of the model that returns it; the first of
            `ts` if `None`, with a warning where it may be meant to be zero, as in
            `integrate`.
        vector_field: A function that picks the vector field out of a model; the model
            itself is one if `None`.
        mask: As in `integrate`.
        args: As in `integrate`.
        args_axes: As in `integrate`.
        jump_ts: As in `integrate`.
        jumps: As in `integrate`, or a function of the model that returns it.
        solver: As in `integrate`.
        rtol: As in `integrate`.
        atol: As in `integrate`.
        stepsize_controller: As in `integrate`.
        dt0: As in `integrate`.
        adjoint: As in `integrate`.
        event: As in `integrate`.
        max_steps: As in `integrate`.
        progress_meter: As in `integrate`.
        batched: As in `integrate`.
        shared_steps: As in `integrate`.

    Attributes:
        clock: The times, as they were read.
        jumps: A tuple of them, their times counted from `clock.reference`; or the
            function. All else is as it was given, or the default.

    Raises:
        TypeError: As `integrate` does.
        ValueError: As `integrate` does.

    Example:
        ```python
        class Decay(bjm.AbstractVectorField):
            rate: bjm.AbstractParameter  # per hour

            def __call__(self, t, y, args):
                return -self.rate.mean * y

        model = Decay(bjm.make_parameter(0.5))
        solve = bjm.Solve(np.array([1.0, 2.0]), t0=0.0, y0=80.0, rtol=1e-6, atol=1e-8)
        solve(model).ys  # [48.52, 29.43]
        solve.at(np.array([4.0, 8.0]))(model).ys  # [10.8268, 1.4653]
        ```
    """

    clock: Clock
    y0: PyTree | Callable
    t0: Real[ArrayLike, "..."] | Callable | None
    vector_field: Callable | None
    args: Any
    args_axes: PyTree
    jumps: tuple[AbstractJumps, ...] | Callable
    solver: diffrax.AbstractSolver
    stepsize_controller: diffrax.AbstractStepSizeController
    dt0: float | Array | None
    adjoint: diffrax.AbstractAdjoint | None
    event: diffrax.Event | None
    max_steps: int | None
    progress_meter: diffrax.AbstractProgressMeter
    batched: bool
    shared_steps: bool

    def __init__(
        self,
        ts: Real[ArrayLike, "*N T"] | Clock,
        *,
        y0: PyTree | Callable,
        t0: Real[ArrayLike, "..."] | Callable | None = None,
        vector_field: Callable | None = None,
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
    ):
        if isinstance(y0, Solve):
            raise TypeError(
                "`y0` is a `Solve`, which has a state of its own. Call it, or for each "
                "draw of a posterior `map_posterior(solve, posterior, ...)`."
            )
        if not callable(y0):
            check_state(y0)
        if args_axes is not None and not batched:
            raise ValueError("`args_axes` is for initial states with `batched=True`.")
        controller = _controller(
            stepsize_controller, rtol, atol, shared=batched and shared_steps
        )
        rows = batched and not shared_steps
        self.clock, self.t0 = _read(ts, mask, jump_ts, t0, rows)
        if self.clock.jump_ts is not None and not _is_adaptive(controller):
            raise ValueError(
                "`jump_ts` needs an adaptive `stepsize_controller`, but "
                f"{type(controller).__name__} takes its own steps. Choose them so that "
                "they end at the jumps, or leave the controller out."
            )
        self.jumps = jumps
        if not callable(jumps):
            self.jumps = counted = _read_jumps(jumps, self.clock.reference)
            if not callable(t0):
                check_known(counted, self.clock)
        if (callable(jumps) or self.jumps) and not _is_adaptive(controller):
            raise ValueError(
                "`jumps` need an adaptive `stepsize_controller`, whose steps end where "
                f"they are, but {type(controller).__name__} takes its own. Leave the "
                "controller out."
            )
        if self.jumps and isinstance(adjoint, diffrax.BacksolveAdjoint):
            raise ValueError(
                "`jumps` cannot be solved for backwards, as a BacksolveAdjoint does. "
                "Leave the `adjoint` out."
            )
        self.y0 = y0
        self.vector_field = vector_field
        self.args = args
        self.args_axes = args_axes
        self.solver = diffrax.Tsit5() if solver is None else solver
        self.stepsize_controller = controller
        self.dt0 = dt0
        self.adjoint = adjoint
        self.event = event
        self.max_steps = max_steps
        self.progress_meter = progress_meter or diffrax.NoProgressMeter()
        self.batched = batched
        self.shared_steps = shared_steps

    def __str__(self) -> str:
        """The times, the solver and its tolerances; where JAX traces the structure."""
        if not has_values(self):
            return repr(self)
        ts, mask = (np.asarray(x) for x in (self.clock.ts, self.clock.mask))
        words = f"Solve: {ts.shape[-1]:,} times from {ts.min():g} to {ts.max():g}"
        if ts.ndim > 1:
            words += f" in {len(ts):,} rows"
        if not mask.all():
            words += f", {mask.sum():,} of {mask.size:,} count"
        t0 = self.clock.reference if self.t0 is None else self.t0
        words += f"; t0 {_spell(t0)}"
        if self.clock.jump_ts is not None:
            words += f", {np.shape(self.clock.jump_ts)[-1]} jumps"
        if self.jumps:
            words += f", {_spell_jumps(self.jumps)}"
        controller = self.stepsize_controller
        details = [type(self.solver).__name__]
        if isinstance(controller, diffrax.PIDController):
            details += [f"rtol {_spell(controller.rtol)}"]
            details += [f"atol {_spell(controller.atol)}"]
        else:
            details += [type(controller).__name__]
        details += [] if self.dt0 is None else [f"dt0 {_spell(self.dt0)}"]
        details += [f"max_steps {self.max_steps}"]
        if self.adjoint is not None:
            details += [type(self.adjoint).__name__]
        details += [] if self.event is None else ["with an event"]
        if self.batched:
            details += ["batched" + (", shared steps" if self.shared_steps else "")]
        return f"{words}\n  {', '.join(details)}"

    def at(
        self,
        ts: Real[ArrayLike, "*N T"],
        mask: Bool[ArrayLike, "..."] | None = None,
    ) -> "Solve":
        """The same, saved at other times. The start stays where it is.

        Args:
            ts: The times, of shape `(T,)`, or `(N, T)` where those were so.
            mask: Which of them count, in their shape.

        Raises:
            TypeError: If `ts` is not made of real numbers.
            ValueError: If the times do not run one way from the start.
        """
        clock = self.clock
        jump_ts = clock.jump_ts
        if jump_ts is not None:
            jump_ts = jump_ts + clock.reference[..., None]
        t0 = clock.reference if self.t0 is None else self.t0
        clock, t0 = _read(ts, mask, jump_ts, t0, clock.rows)
        return eqx.tree_at(
            lambda solve: (solve.clock, solve.t0, solve.jumps),
            self,
            (clock, t0, self._jumps_since(clock.reference)),
            is_leaf=lambda node: node is None,
        )

    def counting(self, counts: Bool[Array | np.ndarray, "..."]) -> "Solve":
        """The same, of whose times some do not count, as a `mask` says.

        Args:
            counts: Which of them do, in their shape. Times of another shape are left
                as they are.
        """
        if np.shape(counts) != self.clock.mask.shape:
            return self
        return eqx.tree_at(
            lambda solve: solve.clock.mask, self, self.clock.mask & counts
        )

    def replace(self, **words: Any) -> "Solve":
        """The same with other arguments, such as `max_steps=4096`.

        Args:
            **words: Arguments of `Solve`, except its times and whether it is batched.

        Raises:
            TypeError: If there is no such argument.
        """
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        clock = own.pop("clock")
        own["jumps"] = self._jumps_since(np.zeros(()))
        own["jumps"] = own["jumps"] or None
        allowed = {*own, "rtol", "atol"} - {"batched", "shared_steps"}
        if unknown := words.keys() - allowed:
            raise TypeError(
                f"`replace` takes any of {sorted(allowed)}, but got {sorted(unknown)}. "
                "For other times use `at`."
            )
        if words.keys() & {"rtol", "atol"}:
            own["stepsize_controller"] = None
        return Solve(clock, **(own | words))

    def _jumps_since(self, start: Any) -> Any:
        if callable(self.jumps):
            return self.jumps
        by = self.clock.reference - start
        return tuple(each.shifted(by) for each in self.jumps)

    def __call__(self, model: PyTree) -> Trajectory:
        """Solve for a model.

        Args:
            model: A vector field, or what `vector_field` picks one from.

        Raises:
            TypeError: If that cannot be called, or is a posterior or a fit.
        """
        check_model("A solve", model)
        vector_field = model if self.vector_field is None else self.vector_field(model)
        span = self.clock.begin(self.t0(model) if callable(self.t0) else self.t0)
        if not callable(vector_field):
            raise TypeError(
                "The vector field must be callable as `(t, y, args)`, but is a "
                f"{type(vector_field).__name__}."
            )
        check_steps(self.stepsize_controller, span)
        if callable(self.jumps):
            jumps = _read_jumps(self.jumps(model), span.start)
        else:
            jumps = self._jumps_since(span.start) if callable(self.t0) else self.jumps
        clock = self.clock
        start_known = (
            clock.was_known and clock.start_was_known and not callable(self.t0)
        )
        timed = not (start_known and all(each.was_known for each in jumps))
        were_counted = not timed and not callable(self.jumps)
        y0 = check_state(self.y0(model) if callable(self.y0) else self.y0)
        args, args_axes, batched = self.args, self.args_axes, self.batched
        if batched:
            check_batch(y0, span, args, args_axes)
            args_axes = jax.tree.map(AxisOfArrays, args_axes)
        check_derivative(vector_field, y0, span, args, args_axes, batched=batched)
        own_steps = not self.shared_steps
        jumps = settle_jumps(
            jumps, y0, span, args, args_axes, batched=batched, own_steps=own_steps
        )
        adjoint, max_steps = self.adjoint, self.max_steps
        if adjoint is None or adjoint == diffrax.RecursiveCheckpointAdjoint():
            checkpoints = _checkpoints(y0, max_steps, self.stepsize_controller)
            adjoint = diffrax.RecursiveCheckpointAdjoint(checkpoints)
        solver = write_out_stages(self.solver, adjoint)
        solver = without_lapack(solver, y0, rows=batched and not self.shared_steps)
        implicit = isinstance(solver, diffrax.AbstractImplicitSolver)
        event = None if self.event is None else with_users_words(self.event)
        dt0 = self.dt0
        if dt0 is not None:
            dt0 = jnp.abs(jnp.asarray(dt0, span.elapsed.dtype))

        is_finite, y0 = (jax.vmap(_settle) if batched else _settle)(y0)
        if jumps:
            solver = Jumping(solver, timed)

        def solve(vector_field, y0, args, span, is_finite, jumps):
            # Nothing goes back through a solve in forward mode.
            if not isinstance(adjoint, diffrax.ForwardMode):
                # Fields and times shared between mapped initial states stay shared.
                inputs = (vector_field, y0, args, span)
                vector_field = guard_gradient(vector_field, mapped_with=vector_field)
                y0, args = guard_gradient((y0, args), mapped_with=inputs)
                span = guard_gradient(span, mapped_with=span)
                jumps = guard_gradient(jumps, mapped_with=inputs)
            inputs, saved = (vector_field, args), span.elapsed
            if jumps:
                span, saved, jumps = with_stops(span, jumps, were_counted=were_counted)
            end = span.elapsed[-1]
            controller: Any = step_to_jumps(self.stepsize_controller, span, inputs)
            if _is_adaptive(self.stepsize_controller):
                smallest = jnp.finfo(end.dtype).eps ** 2 * jnp.abs(end)
                controller = RejectInfinite(controller, smallest, is_finite)
            users_time = UsersTime(span.start, span.jump_ts)
            before, in_order, call = y0, jnp.array(True), _Call(implicit)
            inputs = (vector_field, args, users_time, jumps or None)
            if jumps:
                zero = jnp.zeros_like(end)
                slope = partial(call, zero, inputs=inputs) if timed else None
                y0 = jump_now(zero.__eq__, y0, jumps, args, users_time, slope)
                in_order = run_forwards(jumps, end)
            saveat = diffrax.SaveAt(ts=span.elapsed)
            with jax.default_matmul_precision("highest"):
                solution = diffeqsolve(
                    diffrax.ODETerm(call),
                    solver,
                    t0=jnp.zeros_like(end),
                    t1=end,
                    dt0=dt0 if dt0 is None else jnp.where(end >= 0, dt0, -dt0),
                    y0=y0,
                    args=inputs,
                    saveat=save_with_end(saveat) if event else saveat,
                    stepsize_controller=controller,
                    adjoint=with_short_end(adjoint),
                    event=event,
                    max_steps=max_steps,
                    progress_meter=self.progress_meter,
                    throw=False,
                )
            ys, end = solution.ys, None
            if event:
                ys, end = read_with_end(solution, span.elapsed, users_time)
            if jumps:
                ys = jump_where_saved(saved, ys, before, jumps, args, users_time)
            is_valid = span.is_valid & is_finite & can_step(controller) & in_order
            (ys, end), result = _fail_unless(is_valid, (ys, end), solution.result)
            return ys, result, solution.stats["num_steps"], None, end

        if batched and not self.shared_steps:
            axes = (None, 0, args_axes, span.axes, 0, tuple(j.axes for j in jumps))
            solve = eqx.filter_vmap(solve, in_axes=axes)
        if not (batched and self.shared_steps):
            parts = solve(vector_field, y0, args, span, is_finite, jumps)
            return Trajectory(self.clock.ts, *parts)
        together = _Together(vector_field, args_axes)
        jumps = tuple(JumpsTogether(each, args_axes) for each in jumps)
        ys, *rest, end = solve(together, y0, args, span, jnp.array(True), jumps)
        ys = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), ys)
        result, num_steps, weights = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, is_finite.shape), tuple(rest)
        )
        end = None if end is None else end.shared_by(is_finite.size)
        (ys, end), result = jax.vmap(_fail_unless)(is_finite, (ys, end), result)
        return Trajectory(self.clock.ts, ys, result, num_steps, weights, end)


def _read(ts: Any, mask: Any, jump_ts: Any, t0: Any, rows: bool) -> tuple[Clock, Any]:
    """The times, counted from `t0` where it is known, and `t0`."""
    if isinstance(ts, Clock):
        clock = ts
    else:
        clock = read_clock(ts, mask, jump_ts, least=2 if t0 is None else 1, rows=rows)
    if callable(t0):
        return clock, t0
    # Says at once what is wrong with them.
    clock.run_from(t0)
    if t0 is None:
        warn_of_early_start(clock)
        return clock, None
    clock = clock.counted_from(t0)
    return clock, clock.reference


def _read_jumps(jumps: Any, start: Any) -> tuple[AbstractJumps, ...]:
    """One or several, counted from a start."""
    if jumps is None:
        return ()
    given = jumps if isinstance(jumps, tuple | list) else (jumps,)
    for each in given:
        if not isinstance(each, AbstractJumps):
            raise TypeError(
                "`jumps` must be `Jumps`, `Doses`, a tuple of them, or a function of "
                f"the model that returns them, but is a {type(each).__name__}."
            )
    return tuple(each.shifted(-start) for each in given)


def _spell_jumps(jumps: Any) -> str:
    if callable(jumps):
        return "jumps of the model"
    number = sum(np.shape(each.times)[-1] for each in jumps)
    return f"{number} {' and '.join(type(each).__name__ for each in jumps)}"


def _controller(
    given: diffrax.AbstractStepSizeController | None,
    rtol: float | None,
    atol: float | None,
    *,
    shared: bool,
) -> diffrax.AbstractStepSizeController:
    """The one given, or the default with these tolerances."""
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if isinstance(tolerance, int | float) and not 0 < tolerance < float("inf"):
            raise ValueError(
                f"`{name}` must be above 0 and finite, but is {tolerance}."
            )
    if given is None:
        rtol, atol = RTOL if rtol is None else rtol, ATOL if atol is None else atol
        if shared:
            return diffrax.PIDController(rtol=rtol, atol=atol, norm=_largest_rms)
        return diffrax.PIDController(rtol=rtol, atol=atol)
    if rtol is not None or atol is not None:
        raise ValueError(
            "`rtol` and `atol` are those of the default `stepsize_controller`. Give "
            f"them to the {type(given).__name__} that you pass, or leave it out."
        )
    return given


def _spell(given: Any) -> str:
    """A number, or what there is in place of one."""
    if callable(given):
        return "of the model"
    known = np.asarray(given)
    return f"{known:g}" if known.ndim == 0 else f"of shape {known.shape}"


def _is_adaptive(controller: diffrax.AbstractStepSizeController) -> bool:
    return isinstance(controller, diffrax.AbstractAdaptiveStepSizeController)


def _settle(y0: PyTree) -> tuple[Bool[Array, ""], PyTree]:
    """Whether a state is finite, and a harmless one where it is not."""
    is_finite = all_finite(y0)
    return is_finite, jax.tree.map(lambda leaf: jnp.where(is_finite, leaf, 1), y0)


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

    With fewer than one for every step, stretches of steps are solved for again, and XLA
    may round their times otherwise. A save time at the end of a constant step then
    falls into another step, and its gradient is lost: 50 steps over a unit of time in
    float32 do that. So constant steps have one each, at any size.
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
        vector_field, args, users_time, jumps = inputs
        users_t = users_time(t)
        if self.implicit:
            slope = call_with_finite_tangents(vector_field, users_t, y, args)
        else:
            slope = vector_field(users_t, y, args)
        return add_slopes(t, y, slope, jumps or ())


class _Together(eqx.Module):
    """Many states as one system."""

    vector_field: Callable
    args_axes: Any

    def __call__(self, t, y, args):
        each = eqx.filter_vmap(self.vector_field, in_axes=(None, 0, self.args_axes))
        return each(t, y, args)


def _largest_rms(errors: PyTree) -> Float[Array, ""]:
    """The root mean square error of the worst state in a batch."""
    leaves = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(errors)]
    return jnp.max(jnp.sqrt(jnp.mean(jnp.concatenate(leaves, axis=1) ** 2, axis=1)))
