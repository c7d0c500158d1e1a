"""What is observed of a prediction, and what observations there can be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PyTree

from .._check import (
    are_positive,
    as_float_array,
    as_jax,
    home_of,
    is_float_array,
    on_host,
)

# In counts: a solver may leave so much less than none, and it changes no probability.
NEGLIGIBLE_MEAN = 1e-3


@dataclass(frozen=True)
class Support:
    """Which observations and predictions are possible, entry by entry, and in words."""

    words: str
    of_observation: Callable[[Any], Any]
    of_prediction: Callable[[Array], Array]


def _is_finite(x: Any) -> Any:
    return home_of(x).isfinite(x)


def _is_count(x: Any) -> Any:
    return (x >= 0) & _is_finite(x) & (x == home_of(x).floor(x))


def _is_mean_of_counts(x: Any) -> Any:
    return (x >= -NEGLIGIBLE_MEAN) & _is_finite(x)


REAL = Support("finite", _is_finite, _is_finite)
POSITIVE = Support("finite and positive", are_positive, are_positive)
COUNTS = Support("a whole number, 0 or more", _is_count, _is_mean_of_counts)


def as_observe(observe: Any) -> Any:
    """Hold `observe` to what it can be: nothing, an index, indices or a function."""
    indices = observe if isinstance(observe, tuple) else (observe,)
    are_indices = all(type(index) is int for index in indices) and len(indices) > 0
    if not (observe is None or are_indices or callable(observe)):
        raise TypeError(
            "`observe` must be an index into the last axis of the prediction, a tuple "
            f"of such indices, a function of the prediction, or None; got {observe!r}."
        )
    if any(is_float_array(leaf) for leaf in jax.tree.leaves(observe)):
        raise TypeError(
            "`observe` holds arrays, which would be neither drawn nor learnt in it. "
            "Apply it to the prediction yourself, and hand over what it returns."
        )
    return observe


def observed(observe: Any, prediction: PyTree) -> Float[Array, "..."]:
    """What is observed of a prediction; a `ValueError` if it has no such entries."""
    if callable(observe):
        return as_float_array(observe(prediction), "observe(prediction)")
    prediction = as_float_array(prediction, "prediction")
    if observe is None:
        return prediction
    indices = np.asarray(observe)
    size = prediction.shape[-1] if prediction.ndim > 0 else 0
    if np.any((indices < -size) | (indices >= size)):
        raise ValueError(
            f"`observe` is {observe}, but the prediction has shape {prediction.shape}: "
            f"there are {size} entries in its last axis."
        )
    return prediction[..., indices]


def check_observation(
    observation: Any,
    mask: Any,
    prediction: Float[Array, "*shape"],
    support: Support,
) -> tuple[Float[Array, "*shape"], Bool[Array, "*shape"], Bool[Array, "*shape"]]:
    """The observation in the prediction's dtype, which entries count, which can be."""
    # Data that are known while JAX traces are checked once.
    with jax.ensure_compile_time_eval():
        observation = on_host(as_float_array(observation, "observation"))
        observation = observation.astype(prediction.dtype)
        if observation.shape != prediction.shape:
            raise ValueError(
                f"`observation` has shape {observation.shape}, but what is observed of "
                f"the prediction has {prediction.shape}. Nothing is broadcast: use "
                "`observe` for a part of the state, `mask` for missing entries."
            )
        mask = on_host(np.ones(observation.shape, bool) if mask is None else mask)
        if mask.dtype != bool or mask.shape != observation.shape[: mask.ndim]:
            raise ValueError(
                f"`mask` has shape {mask.shape} and dtype {mask.dtype}, but must be "
                f"boolean in the shape of the observation, {observation.shape}, or in "
                "that of its leading axes."
            )
        trailing = (1,) * (observation.ndim - mask.ndim)
        counts = home_of(mask).broadcast_to(
            mask.reshape(mask.shape + trailing), observation.shape
        )
        can_be = support.of_observation(observation)
        is_bad = (counts & ~can_be).any()
        known = observation, counts, can_be
        observation, counts, can_be = (
            x if isinstance(x, jax.Array) else as_jax(x) for x in known
        )
    if not isinstance(is_bad, Tracer) and is_bad:
        raise ValueError(
            f"`observation` must be {support.words} wherever it counts, but is not. "
            "Leave missing entries out with `mask`."
        )
    return observation, counts, can_be
