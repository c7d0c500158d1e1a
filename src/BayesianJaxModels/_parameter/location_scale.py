"""Distributions that are a linear map of noise, moved to a mean."""

from abc import abstractmethod
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from .._check import as_float_array, check_broadcast, check_key, check_shape
from .._compute import standard_normal
from .._gradient import stop_gradient
from .base import AbstractParameter


class AbstractLocationScale(AbstractParameter):
    """A parameter that draws `mean + spread(noise)`.

    The noise that made a draw gives its density without solving for it, which in single
    precision is exact where a covariance is nearly singular: `whiten(spread(noise))` is
    `residual(noise)` up to rounding, and the rounding may be all there is. Entries are
    independent, unless a kind has its own `root` and `spread`.
    """

    @property
    def noise_size(self) -> int:
        """How many random numbers a draw takes."""
        return self.mean.size

    @property
    def root(self) -> Float[Array, "n m"]:
        """A matrix that times its transpose is the covariance of all entries."""
        return jnp.diag(self.stdv.ravel())

    def noise(self, rng: PRNGKeyArray) -> Float[Array, " m"]:
        """The random numbers of a draw.

        Args:
            rng: A JAX random key.
        """
        return standard_normal(rng, (self.noise_size,), self.mean.dtype)

    def noise_from_normal(self, normal: Float[Array, " m"]) -> Float[Array, " m"]:
        """The noise at the quantiles of standard normal variates.

        Args:
            normal: Of shape `(noise_size,)`.
        """
        return normal

    @abstractmethod
    def spread(self, noise: Float[Array, " m"]) -> Float[Array, "..."]:
        """The deviation from the mean that noise makes, in the shape of `mean`.

        Args:
            noise: Of shape `(noise_size,)`.
        """

    @abstractmethod
    def whiten(self, deviation: Float[Array, "..."]) -> Float[Array, " n"]:
        """A deviation from the mean in units of the widths.

        Args:
            deviation: In the shape of `mean`.
        """

    def residual(self, noise: Float[Array, " m"]) -> Float[Array, " n"]:
        """What `whiten(spread(noise))` is in exact arithmetic.

        Args:
            noise: Of shape `(noise_size,)`.
        """
        return noise

    @abstractmethod
    def log_density(self, residual: Float[Array, " n"]) -> Float[Array, ""]:
        """The log density at a deviation from the mean.

        Args:
            residual: The deviation in units of the widths, as `whiten` gives it.
        """

    def is_too_steep(self, noise: Float[Array, " m"]) -> Bool[ArrayLike, ""]:
        """Whether the slope of the density at a draw is so steep that it is noise.

        Args:
            noise: What made the draw, of shape `(noise_size,)`.
        """
        return False

    def displaced(self, normal):
        return self.mean + self.spread(self.noise_from_normal(normal))

    def sample(self, rng):
        return self.mean + self.spread(self.noise(check_key(rng, "rng")))

    def log_prob(self, value):
        value = as_float_array(value)
        check_shape("value", value, self.shape)
        return self.log_density(self.whiten(value - self.mean))

    def sample_and_log_prob(self, rng, path_only=False):
        return self._with_density(self.noise(check_key(rng, "rng")), path_only)

    def displaced_and_log_prob(self, normal, path_only=False):
        return self._with_density(self.noise_from_normal(normal), path_only)

    def _ratio(self, stdv: Any) -> Float[Array, "..."]:
        """The standard deviations that are wanted, in units of those there are."""
        stdv = as_float_array(stdv, "stdv")
        check_broadcast("stdv", stdv, self.shape)
        return stdv.astype(self.mean.dtype) / self.stdv

    def _with_density(
        self, noise: Float[Array, " m"], path_only: bool
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """A draw and its log density, from the noise that made it.

        With `path_only` derivatives are those with respect to the draw, or all of them
        where the density is too steep.
        """
        draw = self.mean + self.spread(noise)
        log_prob = self.log_density(self.residual(noise))
        if not path_only:
            return draw, log_prob
        fixed = stop_gradient(self)
        # Zero in value, so nothing is lost; as a function of the draw it is right.
        moved = fixed.whiten(draw - lax.stop_gradient(draw))
        along_path = fixed.log_density(fixed.residual(noise) + moved)
        return draw, jnp.where(fixed.is_too_steep(noise), log_prob, along_path)
