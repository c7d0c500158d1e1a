"""A normal distribution over a whole array, correlated along a few directions."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from .._check import as_float_array, check_width, matching_width
from .._compute import standard_normal
from .base import positive, raw_width
from .location_scale import AbstractLocationScale

DEFAULT_RANK = 4
# The factor starts at a tenth of the widths: variances grow by 1 % for a column.
START = 0.1


class LowRankGaussianParameter(AbstractLocationScale):
    """`N(mean, F F^T + D^2)` over all `n` entries of an array, in row-major order.

    The diagonal matrix `D` is `raw_diagonal**2 + 1e-4`, and `F` has `k` columns. It
    keeps the strongest correlations of an array too large for a full covariance:
    densities and entropies are exact, by Woodbury's identity and the matrix determinant
    lemma, at a cost of `n k^2` (Ong, Nott & Smith 2018, arXiv:1701.03208).

    Attributes:
        mean: The mean, of any shape with `n` entries.
        raw_diagonal: The unconstrained diagonal of `D`, in the shape and dtype of
            `mean`.
        factor: `F`, of shape `(n, k)`. A column of zeros is a saddle, so no gradient
            leads away from it.
        support: As in `AbstractParameter`.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `raw_diagonal` or `factor` does not fit `mean` in shape or dtype.

    Example:
        ```python
        weights = bjm.LowRankGaussianParameter.of_rank(np.zeros((8, 4)), 2, 0.3)
        weights.factor.shape  # (32, 2)
        weights.raw_diagonal.shape  # (8, 4)
        ```
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_float_array)
    raw_diagonal: Float[Array, "..."] = eqx.field(converter=as_float_array)
    factor: Float[Array, "..."] = eqx.field(converter=as_float_array)

    def __check_init__(self):
        check_width("raw_diagonal", self.raw_diagonal, self.mean, self.shape)
        rank = self.factor.shape[-1] if self.factor.ndim else 0
        check_width("factor", self.factor, self.mean, (self.mean.size, rank))

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "LowRankGaussianParameter":
        """Normal around `value` with rank 4, or as many as there are entries."""
        mean = as_float_array(value)
        return cls.of_rank(mean, min(DEFAULT_RANK, mean.size), init_raw_stdv)

    @classmethod
    def of_rank(
        cls, value: ArrayLike, rank: int, init_raw_stdv: Any = 0.01
    ) -> "LowRankGaussianParameter":
        """Normal around `value` with a factor of some rank.

        Args:
            value: The mean, of any shape with `n` entries.
            rank: The number `k` of columns, from 0 to `n`.
            init_raw_stdv: The unconstrained diagonal that every entry starts with, or
                an array of them that broadcasts to the shape of `value`. The factor
                starts at a tenth of it with fixed random numbers, the same at each
                call: from zero no training would move it.

        Raises:
            TypeError: If `value` or `init_raw_stdv` is not made of real numbers.
            ValueError: If the rank is negative or above `n`, or `init_raw_stdv` has a
                shape that does not fit.
        """
        mean = as_float_array(value)
        if not 0 <= rank <= mean.size:
            raise ValueError(
                f"`rank` must be between 0 and {mean.size}, the number of entries, but "
                f"got {rank}."
            )
        raw_diagonal = matching_width(mean, init_raw_stdv)
        noise = standard_normal(jax.random.key(0), (mean.size, rank), mean.dtype)
        factor = START * positive(raw_diagonal).reshape(-1, 1) * noise
        return cls(mean, raw_diagonal, factor)

    @property
    def is_normal(self):
        return True

    @property
    def root(self) -> Float[Array, "n m"]:
        """`D` beside `F`: the matrix that times its transpose is the covariance."""
        return jnp.concatenate([jnp.diag(self._diagonal), self.factor], axis=1)

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """The covariance `F F^T + D^2` of the entries in row-major order."""
        low_rank = jnp.matmul(self.factor, self.factor.T, precision="highest")
        return low_rank + jnp.diag(self._diagonal**2)

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The marginal standard deviations; their gradients are finite everywhere."""
        variance = self._diagonal**2 + jnp.sum(self.factor**2, axis=1)
        return jnp.sqrt(variance).reshape(self.shape)

    def with_stdv(self, stdv: Any) -> "LowRankGaussianParameter":
        """The same with these standard deviations; correlations are kept."""
        ratio = self._ratio(stdv).ravel()
        diagonal = (ratio * self._diagonal).reshape(self.shape)
        raw_diagonal = raw_width("stdv", diagonal, self.mean)
        factor = ratio[:, None] * self.factor
        return replace(self, raw_diagonal=raw_diagonal, factor=factor)

    @property
    def noise_size(self):
        return sum(self.factor.shape)

    def spread(self, noise):
        of_diagonal, of_factor = noise[: self.mean.size], noise[self.mean.size :]
        shared = jnp.matmul(self.factor, of_factor, precision="highest")
        return (self._diagonal * of_diagonal + shared).reshape(self.shape)

    def whiten(self, deviation):
        return deviation.ravel() / self._diagonal

    def residual(self, noise):
        return self.whiten(self.spread(noise))

    def log_density(self, residual):
        square = _least_square(self._columns, residual)
        constant = 0.5 * self.mean.size * jnp.log(2 * jnp.pi)
        return -0.5 * square - self._log_determinant - constant

    def entropy(self) -> Float[Array, ""]:
        """`(log det(F F^T + D^2) + n log(2 pi e)) / 2`."""
        constant = 0.5 * self.mean.size * jnp.log(2 * jnp.pi * jnp.e)
        return self._log_determinant + constant

    @property
    def _diagonal(self) -> Float[Array, " n"]:
        return positive(self.raw_diagonal).ravel()

    @property
    def _columns(self) -> Float[Array, "n k"]:
        """`W`, which is `F` in units of `D`."""
        return self.factor / self._diagonal[:, None]

    @property
    def _log_determinant(self) -> Float[Array, ""]:
        """Of a square root of the covariance."""
        return jnp.sum(jnp.log(self._diagonal)) + _log_root(self._columns)


# By Woodbury's identity the squared distance is what ridge regression leaves over: the
# least of `|residual - W s|^2 + |s|^2`. Orthogonal factors of `W` above the identity
# solve it without subtracting large numbers, and without `I + W^T W`, which in single
# precision loses the identity. The slopes need no slope of the factors.


def _factorise(W: Float[Array, "n k"]) -> tuple[Array, Array]:
    """`Q` above the rows of the identity, and `R`: `Q R = W`, `R^T R = I + W^T W`."""
    stacked = jnp.concatenate([W, jnp.eye(W.shape[1], dtype=W.dtype)])
    orthogonal, triangular = jnp.linalg.qr(stacked)
    return orthogonal[: len(W)], triangular


def _ridge(W: Float[Array, "n k"], residual: Float[Array, " n"]) -> tuple[Array, Array]:
    """The coefficients of ridge regression, and what they leave over."""
    orthogonal, triangular = _factorise(W)
    projected = jnp.matmul(orthogonal.T, residual, precision="highest")
    coefficients = jax.scipy.linalg.solve_triangular(triangular, projected)
    rest = residual - jnp.matmul(W, coefficients, precision="highest")
    return coefficients, rest


@jax.custom_jvp
def _least_square(
    W: Float[Array, "n k"], residual: Float[Array, " n"]
) -> Float[Array, ""]:
    coefficients, rest = _ridge(W, residual)
    return jnp.sum(rest**2) + jnp.sum(coefficients**2)


@_least_square.defjvp
def _slope_of_least_square(primals, tangents):
    coefficients, rest = _ridge(*primals)
    along = jnp.matmul(tangents[0], coefficients, precision="highest")
    return _least_square(*primals), 2 * jnp.sum(rest * (tangents[1] - along))


@jax.custom_jvp
def _log_root(W: Float[Array, "n k"]) -> Float[Array, ""]:
    """`log det(I + W^T W) / 2`."""
    return jnp.sum(jnp.log(jnp.abs(jnp.diagonal(_factorise(W)[1]))))


@_log_root.defjvp
def _slope_of_log_root(primals, tangents):
    orthogonal, triangular = _factorise(*primals)
    slope = jax.scipy.linalg.solve_triangular(triangular, orthogonal.T)
    return _log_root(*primals), jnp.sum(slope.T * tangents[0])
