"""The multivariate normal prior, of entries that go together."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ..._check import like
from ..._compute import standard_normal
from ..._special import solve_lower
from ..base import AbstractPrior, Given, is_given
from ..support import as_finite, guarded


class MultivariateNormal(AbstractPrior):
    """A normal distribution of the last axis together: of effects that go together.

    Its density is told entry by entry, each given those before it; their sum is that of
    all.

    Attributes:
        mean: The mean, in the unit of the parameter.
        factor: A lower factor of the covariance, `covariance = factor @ factor.T`, of
            shape `(q, q)` for a last axis of length `q`; or a function of the drawn
            model, such as `lambda m: m.sds.value[:, None] *
            bjm.correlation_factor(m.partials.value)`.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `factor` is known and no lower matrix
            with a positive diagonal.

    Example:
        ```python
        factor = np.linalg.cholesky(np.array([[1.0, 0.8], [0.8, 1.0]]))
        prior = bjm.priors.MultivariateNormal(0.0, factor)
        prior.log_density(jnp.array([1.0, 1.0])).sum()  # -1.883
        ```
    """

    mean: Any
    factor: Any

    def __init__(self, mean: Any, factor: Any):
        self.mean, self.factor = as_finite("mean", mean), _as_factor(factor)

    @property
    def ends(self):
        return -jnp.inf, jnp.inf

    def log_density(self, value):
        factor, z = self._whitened(value)
        log_slopes = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1))
        log_slopes = jnp.broadcast_to(log_slopes, value.shape)

        def density(z, log_slopes):
            return -(z**2) / 2 - log_slopes - np.log(2 * np.pi).astype(value.dtype) / 2

        return guarded(jnp.ones(value.shape, bool), density, z, log_slopes)

    def from_standard(self, z):
        (mean,) = like(z, mean=self.mean)
        return mean + self._times(z)

    def to_standard(self, value):
        return self._whitened(value)[1]

    def sample(self, key, value):
        return self.from_standard(standard_normal(key, value.shape, value.dtype))

    def _whitened(
        self, value: Float[Array, "*n q"]
    ) -> tuple[Float[Array, "q q"], Float[Array, "*n q"]]:
        (mean,) = like(value, mean=self.mean)
        factor = self._factor(value)
        return factor, solve_lower(factor, value - mean)

    def _times(self, z: Float[Array, "*n q"]) -> Float[Array, "*n q"]:
        return jnp.einsum("ij,...j->...i", self._factor(z), z, precision="highest")

    def _factor(self, value: Float[Array, "*n q"]) -> Float[Array, "q q"]:
        factor, q = jnp.asarray(self.factor, value.dtype), value.shape[-1:]
        if factor.shape != q + q:
            raise ValueError(
                f"`factor` must have shape {q + q} for a parameter of shape "
                f"{value.shape}, but has {factor.shape}."
            )
        return factor


def _as_factor(factor: Any) -> Any:
    if callable(factor):
        return Given("factor", factor, is_width=True)
    found = as_finite("factor", factor)
    if isinstance(found, Tracer) or is_given(found):
        return found
    known = np.asarray(found)
    is_square = known.ndim == 2 and known.shape[0] == known.shape[1]
    if not is_square or np.any(np.triu(known, 1)) or np.any(np.diagonal(known) <= 0):
        raise ValueError(
            "`factor` must be a lower matrix with a positive diagonal, as "
            f"`np.linalg.cholesky(covariance)` makes one, but is {known}."
        )
    return found
