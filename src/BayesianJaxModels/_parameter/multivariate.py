"""One normal distribution over a whole array, correlations included."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, ArrayLike, Bool, Float

from .._check import (
    as_float_array,
    check_shape,
    check_values,
    check_width,
    matching_width,
)
from .base import MIN_WIDTH, AbstractParameter, no_divergence, positive, raw_width
from .location_scale import AbstractLocationScale

# How many times as steep as usual a density is where its slope is noise. Of 2, 10 and
# 100, variational inference of 82 entries from a poor start came nearest by 10.
STEEP = 10


class MultivariateGaussianParameter(AbstractLocationScale):
    """`N(mean, L L^T)` over all `n` entries of an array, taken in row-major order.

    The lower triangular Cholesky factor `L` has the diagonal `raw_diagonal**2 + 1e-4`
    and `raw_lower` below it. Use it for a vector of mechanistic rates, whose
    correlations decide how wide the trajectories are.

    Attributes:
        mean: The mean, of any shape with `n` entries.
        raw_diagonal: The unconstrained diagonal of `L`, in the shape and dtype of
            `mean`.
        raw_lower: The `n * (n - 1) / 2` entries below the diagonal of `L`, row by row.
        support: As in `AbstractParameter`.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `raw_diagonal` or `raw_lower` does not fit `mean` in shape or
            dtype.

    Example:
        ```python
        rates = bjm.MultivariateGaussianParameter.from_covariance(
            np.array([0.55, 0.028]), np.array([[4e-3, 1.6e-4], [1.6e-4, 1.6e-5]])
        )
        rates.stdv  # [0.0632, 0.0040]
        rates.raw_lower.shape  # (1,)
        ```
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_float_array)
    raw_diagonal: Float[Array, "..."] = eqx.field(converter=as_float_array)
    raw_lower: Float[Array, "..."] = eqx.field(converter=as_float_array)

    def __check_init__(self):
        check_width("raw_diagonal", self.raw_diagonal, self.mean, self.shape)
        num_below = self.mean.size * (self.mean.size - 1) // 2
        check_width("raw_lower", self.raw_lower, self.mean, (num_below,))

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "MultivariateGaussianParameter":
        """Normal around `value`, uncorrelated, with these unconstrained diagonals."""
        mean = as_float_array(value)
        below = np.zeros(mean.size * (mean.size - 1) // 2, mean.dtype)
        return cls(mean, matching_width(mean, init_raw_stdv), below)

    @classmethod
    def from_covariance(
        cls, value: ArrayLike, covariance: Float[ArrayLike, "n n"]
    ) -> "MultivariateGaussianParameter":
        """Normal around `value` with a given covariance.

        Args:
            value: The mean, of any shape with `n` entries.
            covariance: Symmetric and positive definite, of shape `(n, n)`, in the
                squared unit of `value`.

        Raises:
            TypeError: If `value` or `covariance` is not made of real numbers.
            ValueError: If the shapes do not fit, or `covariance` is not symmetric, not
                positive definite, or so narrow that the diagonal of its Cholesky factor
                is not above 1e-4 (under `jax.jit`, the widths are NaN).
        """
        mean = as_float_array(value)
        covariance = as_float_array(covariance, "covariance").astype(mean.dtype)
        check_shape("covariance", covariance, (mean.size, mean.size))
        factor = jnp.linalg.cholesky(covariance)
        diagonal = jnp.diagonal(factor)
        is_symmetric = jnp.allclose(covariance, covariance.T)
        diagonal = check_values(
            diagonal,
            ~(is_symmetric & jnp.all(diagonal > MIN_WIDTH)),
            "`covariance` must be symmetric and positive definite, with a Cholesky "
            f"factor whose diagonal is above {MIN_WIDTH}.",
        )
        raw_diagonal = jnp.sqrt(diagonal - MIN_WIDTH).reshape(mean.shape)
        return cls(mean, raw_diagonal, factor[np.tril_indices(mean.size, -1)])

    @property
    def is_normal(self):
        return True

    @property
    def cholesky(self) -> Float[Array, "n n"]:
        """The lower triangular factor `L`."""
        rows, columns = np.tril_indices(self.mean.size, -1)
        diagonal = jnp.diag(positive(self.raw_diagonal).ravel())
        return diagonal.at[rows, columns].set(self.raw_lower)

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """The covariance `L L^T` of the entries in row-major order."""
        factor = self.cholesky
        return jnp.matmul(factor, factor.T, precision="highest")

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The marginal standard deviations; their gradients are finite everywhere."""
        return jnp.linalg.norm(self.cholesky, axis=1).reshape(self.shape)

    def with_stdv(self, stdv: Any) -> "MultivariateGaussianParameter":
        """The same with these standard deviations; correlations are kept."""
        factor = self._ratio(stdv).reshape(-1, 1) * self.cholesky
        diagonal = jnp.diagonal(factor).reshape(self.shape)
        raw_diagonal = raw_width("stdv", diagonal, self.mean)
        below = factor[np.tril_indices(self.mean.size, -1)]
        return replace(self, raw_diagonal=raw_diagonal, raw_lower=below)

    @property
    def root(self):
        return self.cholesky

    def spread(self, noise):
        deviation = jnp.matmul(self.cholesky, noise, precision="highest")
        return deviation.reshape(self.shape)

    def whiten(self, deviation):
        return solve_triangular(self.cholesky, deviation.ravel(), lower=True)

    def is_too_steep(self, noise: Float[Array, " n"]) -> Bool[ArrayLike, ""]:
        """Whether `L` is nearly singular though no entry of its diagonal is small.

        The slope `L^-T noise` has about the length of one over the diagonal. It grows
        with the power of `n` in a factor whose rows are at random.
        """
        slope = solve_triangular(self.cholesky, noise, lower=True, trans=1)
        usual = jnp.sum(1 / positive(self.raw_diagonal) ** 2)
        return ~(jnp.sum(slope**2) <= STEEP**2 * usual)

    def log_density(self, residual):
        log_diagonal = jnp.log(positive(self.raw_diagonal)).ravel()
        return jnp.sum(jax.scipy.stats.norm.logpdf(residual) - log_diagonal)

    def kl_from(self, q: AbstractParameter) -> Float[Array, ""]:
        """`KL(q || self)` for any `q` whose covariance is known.

        Of `q` the first two moments and the entropy count.

        Raises:
            NotImplementedError: If `q` is a point mass, or its covariance not known.
        """
        if q.is_known:
            raise NotImplementedError(no_divergence(q, "a normal distribution"))
        spread = solve_triangular(self.cholesky, q.root, lower=True)
        squares = jnp.sum(spread**2) + jnp.sum(self.whiten(q.mean - self.mean) ** 2)
        log_diagonal = jnp.log(positive(self.raw_diagonal))
        cross = squares / 2 + jnp.sum(log_diagonal + 0.5 * jnp.log(2 * jnp.pi))
        return cross - q.entropy()

    def entropy(self) -> Float[Array, ""]:
        """`log det L + n log(2 pi e) / 2`."""
        log_diagonal = jnp.log(positive(self.raw_diagonal))
        return jnp.sum(log_diagonal + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
