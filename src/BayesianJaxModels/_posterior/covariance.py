"""The factor of a covariance, in NumPy and float64."""

import jax
import numpy as np
from jaxtyping import Float


def cholesky(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The lower factor of a covariance, scaled to correlations for the arithmetic.

    Raises:
        ValueError: If it is not finite or not positive definite.
    """
    variances = np.diagonal(covariance)
    try:
        if not (np.isfinite(covariance).all() and np.all(variances > 0)):
            raise np.linalg.LinAlgError
        scale = np.sqrt(variances)
        factor = np.linalg.cholesky(covariance / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        raise ValueError(
            "The covariance must be finite and positive definite, but its variances "
            f"are {variances}. A parameter may have no influence on the "
            "log density, or have no width (`DeterministicParameter`)."
        ) from None
    return scale[:, None] * factor


def as_float64(array: jax.Array | np.ndarray) -> np.ndarray:
    """A JAX array as a NumPy array of doubles."""
    return np.asarray(array, np.float64)
