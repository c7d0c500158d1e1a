"""How measurements that are correlated with each other scatter."""

from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from .._check import as_float_array
from .._parameter import AbstractParameter
from .._special import HALF_LOG_2_PI
from .base import AbstractLikelihood
from .noise import given_or_learnt, width_of
from .observe import REAL, Support, as_observe

# How far rounding may carry a correlation of 1, and one from its mirror image.
ROUNDING = 1e-5


class MultivariateNormalLikelihood(AbstractLikelihood):
    """Normal around the prediction, with correlations along the last axis.

    A row of the observation is its last axis; rows are independent, and `log_prob_each`
    has one number for each. Entries that are masked out are integrated out.

    Learn correlations from a drawn model, inside your log density: that of two is the
    `tanh` of a parameter; for more, let a matrix of parameters have rows of length 1
    and take it times its transpose. A draw whose matrix is no correlation has the
    density minus infinity.

    Attributes:
        scale: The standard deviations, above 0, in the unit of the observation: a
            number, or an array that broadcasts to it.
        correlation: Symmetric and positive definite with 1 on the diagonal, of shape
            `(n, n)` for rows of `n` entries.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: Instead of `scale`, a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `scale` is not positive and finite, or both it and `log_scale`
            are given, or neither, or `correlation` is known not to be one.

    Example:
        ```python
        correlation = jnp.array([[1.0, 0.8], [0.8, 1.0]])
        likelihood = bjm.likelihoods.MultivariateNormalLikelihood(0.5, correlation)
        prediction = jnp.zeros((2, 2))  # 2 times, 2 states
        data = jnp.array([[0.5, 0.5], [0.5, jnp.nan]])
        likelihood.log_prob_each(prediction, data, ~jnp.isnan(data))  # [-0.496, -0.726]
        ```
    """

    scale: Float[Array, "..."] | None
    correlation: Float[Array, "n n"]
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = REAL

    def __init__(
        self,
        scale: Any = None,
        correlation: Any = None,
        observe: Any = None,
        *,
        log_scale: Any = None,
    ):
        self.scale, self.log_scale = given_or_learnt("scale", scale, log_scale)
        self.observe = as_observe(observe)
        with jax.ensure_compile_time_eval():
            self.correlation = _square("correlation", correlation)
            is_one = _is_correlation(self.correlation)
        if not isinstance(is_one, Tracer) and not is_one:
            raise ValueError(
                "`correlation` must be symmetric and positive definite with 1 on the "
                f"diagonal, but got {correlation}. Of a covariance make one by "
                "`MultivariateNormalLikelihood.from_covariance`."
            )

    @classmethod
    def from_covariance(
        cls, covariance: Any, observe: Any = None
    ) -> "MultivariateNormalLikelihood":
        """With the covariance of a row instead of scales and correlations.

        Args:
            covariance: Symmetric and positive definite, of shape `(n, n)`, in the
                squared unit of the observation.
            observe: What is observed of a prediction.

        Raises:
            ValueError: If `covariance` is known not to be one.
        """
        with jax.ensure_compile_time_eval():
            covariance = _square("covariance", covariance)
            variances = jnp.diagonal(covariance)
            # With no entry on the diagonal that is none, the rest can be judged.
            are_variances = (variances > 0) & jnp.isfinite(variances)
            scale = jnp.sqrt(jnp.where(are_variances, variances, 1))
            correlation = covariance / scale[:, None] / scale
            is_one = jnp.all(are_variances) & _is_correlation(correlation)
        if not isinstance(is_one, Tracer) and not is_one:
            raise ValueError(
                "`covariance` must be symmetric and positive definite, but got "
                f"{covariance}."
            )
        return cls(scale, correlation, observe)

    @property
    def noise(self):
        return {"scale": width_of(self.scale, self.log_scale)}

    def log_density(self, prediction, observation, noise):
        everything = jnp.ones(prediction.shape, bool)
        return self.marginal_log_density(prediction, observation, noise, everything)

    def marginal_log_density(self, prediction, observation, noise, counts):
        correlation = self._of_rows(prediction)
        is_one = _is_correlation(correlation)
        identity = jnp.eye(len(correlation), dtype=correlation.dtype)
        correlation = jnp.where(is_one, correlation, identity)
        if isinstance(counts, Tracer) or not np.asarray(counts).all():
            # What is missing becomes independent of the rest, and then counts nothing.
            together = counts[..., :, None] & counts[..., None, :]
            correlation = jnp.where(together, correlation, identity)
        root = jnp.linalg.cholesky(correlation)
        deviation = (observation - prediction) / noise["scale"]
        z = _solve_root(root, jnp.where(counts, deviation, 0))
        volume = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1))
        each = z**2 / 2 + volume + jnp.log(noise["scale"])
        each = each + jnp.where(counts, HALF_LOG_2_PI, 0).astype(z.dtype)
        return jnp.where(is_one, -jnp.sum(each, axis=-1), -jnp.inf)

    def draw(self, key, prediction, noise):
        correlation = self._of_rows(prediction)
        # A matrix that is no correlation has no root, and its draws are NaN.
        root = jnp.where(
            _is_correlation(correlation), jnp.linalg.cholesky(correlation), jnp.nan
        )
        z = jax.random.normal(key, prediction.shape, prediction.dtype)
        z = jnp.einsum("ij,...j->...i", root, z, precision="highest")
        return prediction + noise["scale"] * z

    def _of_rows(self, prediction: Array) -> Array:
        n = len(self.correlation)
        if prediction.shape[-1:] != (n,):
            raise ValueError(
                f"`correlation` has shape {(n, n)}, but what is observed of the "
                f"prediction has {prediction.shape}: its last axis must have {n} "
                "entries."
            )
        return self.correlation.astype(prediction.dtype)


_solve_root = jnp.vectorize(
    partial(solve_triangular, lower=True), signature="(n,n),(n)->(n)"
)


def _square(name: str, matrix: Any) -> Array:
    matrix = as_float_array(matrix, name)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"`{name}` must be a square matrix; got shape {matrix.shape}.")
    return matrix


def _is_correlation(matrix: Array) -> Array:
    """Whether it has a root, is symmetric, and has ones on its diagonal."""
    matrix = lax.stop_gradient(matrix)
    has_root = jnp.all(jnp.isfinite(jnp.linalg.cholesky(matrix)))
    is_mirrored = jnp.all(jnp.abs(matrix - matrix.T) < ROUNDING)
    has_ones = jnp.all(jnp.abs(jnp.diagonal(matrix) - 1) < ROUNDING)
    return has_root & is_mirrored & has_ones
