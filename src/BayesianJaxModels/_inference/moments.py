"""Mean and covariance of a posterior, and draws of a distribution that has them."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PyTree

from .._model import flatten_means, flatten_stdvs
from .joint import JointPosterior
from .posterior import AbstractPosterior, DrawsPosterior


def moments(
    posterior: PyTree,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance over all entries, in NumPy and float64.

    Args:
        posterior: A plain model (whose entries are taken as independent), a
            `JointPosterior` or a `DrawsPosterior`.

    Raises:
        TypeError: For another posterior, whose moments are not known.
    """
    if isinstance(posterior, JointPosterior):
        mean, covariance = _moments_of_joint(posterior)
        return as_float64(mean), as_float64(covariance)
    if isinstance(posterior, DrawsPosterior):
        return weighted_moments(
            as_float64(posterior.draws), as_float64(posterior.weights)
        )
    if isinstance(posterior, AbstractPosterior):
        raise TypeError(
            f"The moments of a {type(posterior).__name__} are not known. Start from a "
            "plain model, a `JointPosterior` or a `DrawsPosterior`."
        )
    covariance = np.diag(as_float64(flatten_stdvs(posterior)) ** 2)
    return as_float64(flatten_means(posterior)), covariance


@eqx.filter_jit
def _moments_of_joint(posterior: JointPosterior) -> tuple[jax.Array, jax.Array]:
    return posterior.mean, posterior.covariance


def weighted_moments(
    draws: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance of draws whose weights sum to 1."""
    mean = weights @ draws
    deviations = draws - mean
    return mean, (weights[:, None] * deviations).T @ deviations


def cholesky(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The lower factor of a covariance, scaled to correlations for the arithmetic.

    Raises:
        ValueError: If it is not finite or not positive definite.
    """
    scale = np.sqrt(np.diagonal(covariance))
    try:
        if not np.all(scale > 0):
            raise np.linalg.LinAlgError
        factor = np.linalg.cholesky(covariance / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        raise ValueError(
            "The covariance must be finite and positive definite, but its variances "
            f"are {np.diagonal(covariance)}. A parameter may have no influence on the "
            "log density, or have no width (`DeterministicParameter`)."
        ) from None
    return scale[:, None] * factor


def as_float64(array: jax.Array | np.ndarray) -> np.ndarray:
    """A JAX array as a NumPy array of doubles."""
    return np.asarray(array, np.float64)
