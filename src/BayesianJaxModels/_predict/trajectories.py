"""Posterior trajectories: a solve for every draw of the weights."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, PRNGKeyArray, PyTree, Real

from .._compute import share_of_process
from .._dynamics import Solve, Trajectory
from .._posterior import as_posterior
from .map_posterior import map_posterior

# What diffrax does not say of its results.
REMEDIES = (
    (
        diffrax.RESULTS.successful,
        "States became NaN or infinite with a solver that noticed nothing. Try smaller "
        "steps, narrower weights, or a vector field without poles.",
    ),
    (
        diffrax.RESULTS.nonfinite,
        "An initial state has NaN or infinity, or the times do not run one way from "
        "`t0`.",
    ),
    (
        diffrax.RESULTS.dt_min_reached,
        "The vector field is NaN there, or has a pole or a jump; or time has too few "
        "digits for such steps: use double precision, or a later `t0`.",
    ),
)


def posterior_trajectories(
    posterior: PyTree,
    y0: PyTree | Callable,
    ts: Real[ArrayLike, "*N T"],
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    t0: Real[ArrayLike, "..."] | Callable | None = None,
    mask: Bool[ArrayLike, "..."] | None = None,
    args: Any = None,
    args_axes: PyTree = None,
    jump_ts: Real[ArrayLike, "..."] | None = None,
    jumps: Any = None,
    vector_field: Callable | None = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    stepsize_controller: diffrax.AbstractStepSizeController | None = None,
    dt0: float | Array | None = None,
    adjoint: diffrax.AbstractAdjoint | None = None,
    event: diffrax.Event | None = None,
    max_steps: int | None = 1024,
    batched: bool = False,
    shared_steps: bool = False,
    batch_size: int | None = None,
    gather: bool = True,
    on_failure: str = "raise",
    progress: bool = False,
) -> Trajectory:
    """Solve for many draws of the weights, on all cores.

    Runs on the host; under `jax.jit`, `jax.vmap` or `jax.grad` apply
    `map_posterior_pure` to a function that calls `integrate`.

    Args:
        posterior: A model with parameters, or an `AbstractPosterior`.
        y0: The state at `t0`, or a function of the drawn model that returns it.
        ts: The times to save at, as in `integrate`.
        key: A JAX random key. Draw `i` depends on `fold_in(key, i)` alone.
        num_samples: How many draws, at least 1; `None` for every draw of a
            `DrawsPosterior` once, in order, with its weight.
        t0: The time of `y0`, or a function of the drawn model that returns it.
        mask: As in `integrate`.
        args: As in `integrate`.
        args_axes: As in `integrate`.
        jump_ts: As in `integrate`.
        jumps: As in `integrate`.
        vector_field: A function that picks the vector field out of a drawn model; the
            model itself is one if `None`. Pass the same function again to use its
            compiled code again.
        solver: As in `integrate`.
        rtol: As in `integrate`.
        atol: As in `integrate`.
        stepsize_controller: As in `integrate`.
        dt0: As in `integrate`.
        adjoint: As in `integrate`.
        event: As in `integrate`. Summaries leave out what comes after it, and say which
            share of the draws still runs.
        max_steps: As in `integrate`.
        batched: As in `integrate`; each initial state is solved for with every draw.
        shared_steps: As in `integrate`.
        batch_size: As in `map_posterior`.
        gather: As in `map_posterior`.
        on_failure: `"raise"` an error after the run if solves failed, or `"keep"` them,
            with `succeeded` false.
        progress: As in `map_posterior`.

    Returns:
        A `Trajectory` with `ys` of shape `(num_samples, T, *state)`, or
        `(num_samples, N, T, *state)` if `batched`. Its `weights` are those of the
        posterior if it has some and `num_samples` is `None`; they sum to 1, but with
        `gather=False` they are the share's part of them.

    Raises:
        ValueError: If an argument is not as above.
        ImportError: If tqdm is missing where `progress` asks for it.
        RuntimeError: If solves failed and `on_failure` is `"raise"`; with their number,
            the commonest reason and what to do.

    Example:
        ```python
        class Decay(bjm.AbstractVectorField):
            rate: bjm.GaussianParameter

            def __call__(self, t, y, args):
                return -self.rate.mean * y

        field = Decay(bjm.make_parameter(0.5, init_raw_stdv=0.3))
        y0, ts, key = jnp.ones(1), jnp.linspace(0.0, 4.0, 9), jax.random.key(0)
        draws = bjm.posterior_trajectories(field, y0, ts, key=key, num_samples=100)
        draws.ys.shape  # (100, 9, 1)
        ```
    """
    if on_failure not in ("raise", "keep"):
        raise ValueError(f"`on_failure` must be 'raise' or 'keep', got {on_failure!r}.")
    solve = Solve(
        ts,
        y0=y0,
        t0=t0,
        vector_field=vector_field,
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
        batched=batched,
        shared_steps=shared_steps,
    )
    (ys, result, num_steps, end), succeeded = map_posterior(
        eqx.Partial(_solved, solve),
        posterior,
        key=key,
        num_samples=num_samples,
        batch_size=batch_size,
        gather=gather,
        progress=progress,
    )
    ts = np.asarray(solve.clock.ts)
    if ts.ndim > 1:
        ts = np.broadcast_to(ts, (len(succeeded), *ts.shape))
    weights = as_posterior(posterior).item_weights if num_samples is None else None
    if weights is not None and not gather:
        share = share_of_process(len(weights))
        weights = weights[share.start : share.stop]
    trajectory = Trajectory(ts, ys, result, num_steps, weights, end)
    if on_failure == "raise":
        raise_failures(trajectory.result, ~np.asarray(succeeded))
    return trajectory


def _solved(solve: Solve, drawn: PyTree) -> tuple[tuple, Bool[Array, "..."]]:
    """What a draw has of its own, which is all but the times, and if it succeeded."""
    found = solve(drawn)
    return (found.ys, found.result, found.num_steps, found.end), found.succeeded


def raise_failures(result: diffrax.RESULTS, failed: Bool[np.ndarray, "..."]) -> None:
    """Raise a `RuntimeError` if any solve of a batch failed."""
    if not failed.any():
        return
    [codes], treedef = jax.tree.flatten(result)
    values, counts = np.unique(np.asarray(codes)[failed], return_counts=True)
    reason = treedef.unflatten([jnp.asarray(values[np.argmax(counts)])])
    message = str(diffrax.RESULTS[reason])
    for known, remedy in REMEDIES:
        if message == str(diffrax.RESULTS[known]):
            message = f"{message} {remedy}".lstrip()
    raise RuntimeError(
        f"{failed.sum()} of {failed.size} solves failed. The commonest reason, for "
        f"{counts.max()} of them: {message} Pass `on_failure='keep'` to get all of "
        "them, with `succeeded` to tell them apart."
    )
