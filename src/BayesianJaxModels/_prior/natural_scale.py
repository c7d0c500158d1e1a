"""A prior on the natural scale of what a parameter holds transformed."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from .base import AbstractPrior
from .support import representable


class OnNaturalScale(AbstractPrior):
    """A prior for `natural(entry)`, where the parameter holds `entry`.

    The log density of the entry is that of its image plus the logarithm of
    `|natural'(entry)|`: without that Jacobian the prior would be another one.

    Attributes:
        prior: The distribution on the natural scale.
        natural: From an entry of the parameter to the natural scale; increasing or
            decreasing, elementwise.
        inverse: The way back.

    Example:
        ```python
        # The parameter holds the logarithm of a rate whose prior is half-normal.
        prior = bjm.priors.OnNaturalScale(bjm.priors.HalfNormal(0.5), jnp.exp, jnp.log)
        prior.log_density(jnp.log(jnp.array([0.5])))  # [-0.726]
        ```
    """

    prior: AbstractPrior
    natural: Callable = eqx.field(static=True)
    inverse: Callable = eqx.field(static=True)

    def log_density(self, value):
        image, slope = self._image_and_slope(value)
        # Where the natural scale overflows, nothing flows back: a gradient of zero
        # instead of zero times infinity.
        inside = jnp.isfinite(image) & jnp.isfinite(slope) & (slope != 0)
        value = jnp.where(inside, value, lax.stop_gradient(value))
        image, slope = self._image_and_slope(value)
        density = self.prior.log_density(image)
        inside = inside & (density > -jnp.inf)
        return jnp.where(inside, density + jnp.log(jnp.abs(slope)), -jnp.inf)

    def sample(self, key, value):
        return representable(self.inverse(self.prior.sample(key, value)))

    def _image_and_slope(self, value: Array) -> tuple[Array, Array]:
        return jax.jvp(self.natural, (value,), (jnp.ones_like(value),))
