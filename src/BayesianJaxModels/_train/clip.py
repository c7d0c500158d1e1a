"""Clipping that survives a failed draw."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from .._model import ravel_all


class ClipState(eqx.Module):
    """What `clip_finite_by_global_norm` remembers.

    Attributes:
        num_left_out: How many updates were not finite and left out.

    Example:
        ```python
        clip = bjm.train.clip_finite_by_global_norm(1.0)
        state = clip.init(jnp.ones(2))
        _, state = clip.update(jnp.array([0.5, jnp.nan]), state)
        state.num_left_out  # 1
        ```
    """

    num_left_out: Int[Array, ""]


def clip_finite_by_global_norm(max_norm: float) -> optax.GradientTransformation:
    """Clip an update to a global norm, or leave it out if any of it is not finite.

    `integrate` keeps failed draws out of a gradient; this catches and counts other
    failures of a loss. What is left out is zero: an optimiser with momentum after it
    moves on.

    Unlike `optax.apply_if_finite` around `optax.clip_by_global_norm`, it never lets an
    update through that is not finite, however many there are in a row, and it clips an
    update whose norm overflows, as from entries of 1e20 on in float32, which there
    becomes zero without being counted.

    Args:
        max_norm: Above 0, in the unit of the updates. Those with a smaller norm stay as
            they are.

    Returns:
        A transformation, the first of an `optax.chain`. Its state is a `ClipState`.

    Raises:
        ValueError: If `max_norm` is not positive.

    Example:
        ```python
        clip = bjm.train.clip_finite_by_global_norm(1.0)
        optimiser = optax.chain(clip, optax.adam(1e-2))
        state = optimiser.init(jnp.ones(2))
        updates, state = optimiser.update(jnp.array([0.5, jnp.nan]), state)
        state[0].num_left_out  # 1
        updates  # [0.0, 0.0]
        ```
    """
    if not max_norm > 0:
        raise ValueError(f"`max_norm` must be positive, but got {max_norm}.")

    def init(params: Any) -> ClipState:
        return ClipState(jnp.zeros((), jnp.int32))

    def update(
        updates: Any, state: ClipState, params: Any = None
    ) -> tuple[Any, ClipState]:
        entries = ravel_all(jax.tree.leaves(updates))
        finite = jnp.all(jnp.isfinite(entries))
        largest = jnp.max(jnp.abs(entries), initial=0)
        # In units of the largest entry no square overflows.
        unit = jnp.where(largest > 0, largest, 1)
        norm = jnp.linalg.norm(entries / unit)
        too_long = norm * unit > max_norm

        def clip(leaf):
            clipped = leaf / unit.astype(leaf.dtype)
            clipped = clipped * (max_norm / norm).astype(leaf.dtype)
            return jnp.where(finite, jnp.where(too_long, clipped, leaf), 0)

        num_left_out = state.num_left_out + (~finite).astype(jnp.int32)
        return jax.tree.map(clip, updates), ClipState(num_left_out)

    return optax.GradientTransformation(init, update)  # pyright: ignore
