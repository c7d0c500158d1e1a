"""What is true of every mixture, from its parts and their weights."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._check import as_float_array, check_shape, check_values
from .base import AbstractPosterior
from .mean_field import as_posterior, moments


def parts_of_all(
    weights: Float[Array, " m"], posteriors: Sequence[PyTree]
) -> tuple[Float[np.ndarray, " k"], list[AbstractPosterior]]:
    """The parts of all parts, and their weights in float64."""
    scaled, parts = [], []
    for share, one in zip(np.asarray(weights, np.float64), posteriors, strict=True):
        inner, parts_of_one = as_posterior(one).parts()
        scaled.append(share * inner)
        parts += parts_of_one
    return np.concatenate(scaled), parts


def moments_of_all(
    weights: Float[Array, " m"], parts: Sequence[PyTree]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance over all entries, in float64."""
    shares = np.asarray(weights, np.float64)
    means, covariances = map(np.stack, zip(*map(moments, parts), strict=True))
    mean = shares @ means
    between = (shares[:, None] * (means - mean)).T @ (means - mean)
    return mean, np.tensordot(shares, covariances, 1) + between


def pool(
    weights: Float[Array, " m"], means: Float[Array, "m n"], stdvs: Float[Array, "m n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and standard deviation of a mixture, from those of its components."""
    weights = weights.astype(means.dtype)[:, None]
    mean = jnp.sum(weights * means, axis=0)
    variance = jnp.sum(weights * (stdvs**2 + (means - mean) ** 2), axis=0)
    return mean, jnp.sqrt(variance)


def read_weights(weights: Any, size: int) -> Float[Array, " m"]:
    """Weights that sum to 1."""
    if weights is None:
        return jnp.full(size, 1 / size)
    weights = as_float_array(weights, "weights")
    check_shape("weights", weights, (size,))
    is_good = jnp.all((weights >= 0) & jnp.isfinite(weights)) & (jnp.sum(weights) > 0)
    weights = check_values(
        weights, ~is_good, "`weights` must be finite, at least 0 and not all 0."
    )
    return weights / jnp.sum(weights)
