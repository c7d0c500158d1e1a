"""Where a vector field jumps, and the steps that end there."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PyTree

from ._patches.checks import KnownSteps
from .clock import Span

# Steps that end at the knots of an input, at most. Smooth inputs of a thousand knots
# are solved for in steps of many knots.
MOST_KNOTS = 64
INTERPOLATIONS = (diffrax.LinearInterpolation, diffrax.CubicInterpolation)


def step_to_jumps(
    controller: diffrax.AbstractStepSizeController, span: Span, inputs: PyTree
) -> diffrax.AbstractStepSizeController:
    """A controller in time since the start, whose steps end where the field jumps.

    Times in the given one are counted from zero. NaN in `span.jump_ts` is padding. The
    knots of interpolations in `inputs` are jumps too, unless steps are constant.
    """
    start, end = span.start, span.elapsed[-1]
    controller = _since(controller, start, end)
    if not isinstance(controller, diffrax.AbstractAdaptiveStepSizeController):
        return controller
    jumps = [] if span.jump_ts is None else [span.jump_ts]
    jumps += [
        lax.stop_gradient(_sharpest(leaf, start, end))
        for leaf in jax.tree.leaves(inputs, is_leaf=_is_interpolation)
        if _is_interpolation(leaf)
    ]
    if not jumps:
        return controller
    jumps = jnp.concatenate(jumps)
    # diffrax never arrives at infinity; NaN would be the end of all steps.
    jumps = jnp.where(jnp.isnan(jumps), jnp.inf, jumps)
    return diffrax.ClipStepSizeController(controller, jump_ts=jumps)


def check_steps(controller: diffrax.AbstractStepSizeController, span: Span) -> None:
    """Raise a `ValueError` if steps were chosen that do not run through the times.

    Where either is traced, the solve fails instead.
    """
    if not isinstance(controller, diffrax.StepTo):
        return
    ts, start, elapsed = controller.ts, span.start, span.elapsed
    if any(isinstance(known, Tracer) for known in (ts, start, elapsed)):
        return
    for first, end in np.broadcast(start, elapsed[..., -1]):
        steps = _since(controller, jnp.asarray(first), jnp.asarray(end)).ts
        if np.isnan(steps[0]):
            raise ValueError(
                f"The times of `StepTo` run from {ts[0]} to {ts[-1]}, but the solve "
                f"from {first} to {first + end}. They must be strictly increasing or "
                "strictly decreasing, from the start of the solve to its end."
            )


def can_step(controller: diffrax.AbstractStepSizeController) -> Bool[Array, ""]:
    """Whether steps that were chosen are in order, after `step_to_jumps`."""
    if not isinstance(controller, diffrax.StepTo):
        return jnp.array(True)
    return jnp.isfinite(controller.ts[0])


def _since(controller: Any, start: Float[Array, ""], end: Float[Array, ""]) -> Any:
    """The controller with its times counted from the start."""

    def since(times: Any) -> Any:
        return None if times is None else times.astype(start.dtype) - start

    if isinstance(controller, diffrax.StepTo):
        ts = since(controller.ts)
        # It has to end where the solve does, to the last digit.
        last = controller.ts[-1]
        close = jnp.isclose(last, (start + end).astype(last.dtype))
        ts = ts.at[-1].set(jnp.where(close, end, ts[-1]))
        one_way = jnp.all(jnp.diff(ts) * jnp.sign(end) > 0)
        # With NaN there is one step, and no loop without an end.
        is_right = (ts[0] == 0) & one_way & close
        return KnownSteps(jnp.where(is_right, ts, jnp.nan))
    if isinstance(controller, diffrax.ClipStepSizeController):
        inner = _since(controller.controller, start, end)
        return diffrax.ClipStepSizeController(
            inner,
            since(controller.step_ts),
            since(controller.jump_ts),
            controller.store_rejected_steps,
            controller.callback_on_reject,
        )
    return controller


def _is_interpolation(node: Any) -> bool:
    return isinstance(node, INTERPOLATIONS)


def _sharpest(
    interpolation: Any, start: Float[Array, ""], end: Float[Array, ""]
) -> Float[Array, " K"]:
    """The knots since the start; of many those on the way where it turns most."""
    knots = jnp.asarray(interpolation.ts).astype(start.dtype) - start
    if knots.size <= MOST_KNOTS:
        return knots
    direction = jnp.sign(end)
    is_inside = (knots * direction > 0) & (knots * direction < jnp.abs(end))
    score = jnp.zeros(knots.size, start.dtype)
    for leaf in jax.tree.leaves(jax.vmap(interpolation.evaluate)(interpolation.ts)):
        values = leaf.reshape(knots.size, -1).astype(start.dtype)
        slopes = jnp.diff(values, axis=0) / jnp.diff(knots)[:, None]
        turns = jnp.nan_to_num(jnp.abs(jnp.diff(slopes, axis=0)))
        turns = turns / jnp.maximum(jnp.max(turns, axis=0), jnp.finfo(turns.dtype).tiny)
        score = jnp.maximum(score, jnp.pad(jnp.max(turns, axis=1), 1))
    score, place = lax.top_k(jnp.where(is_inside, score, 0), MOST_KNOTS)
    return jnp.where(score > 0, knots[place], jnp.inf)
