"""Distributions of entries, in the terms that priors are written in."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from .._check import as_positive, like
from .._compute import standard_laplace, standard_normal
from .support import (
    as_finite,
    guarded,
    log_one_plus_square,
    normal_density,
    representable,
)


class AbstractPrior(eqx.Module):
    """A distribution of independent entries, the prior of one parameter.

    Those that the package has are made from numbers, or from arrays that broadcast to
    the shape of the parameter, in its unit. A subclass of your own works as they do:
    give it `log_density` and `sample`.

    Example:
        ```python
        class Uniform(bjm.AbstractPrior):
            def log_density(self, value):
                return jnp.where((value >= 0) & (value <= 1), 0.0, -jnp.inf)

            def sample(self, key, value):
                return jax.random.uniform(key, value.shape, value.dtype)

        shares = bjm.make_parameter([0.2, 0.7])
        bjm.log_prior(shares, bjm.Prior(default=Uniform()))  # 0.0
        ```
    """

    @abstractmethod
    def log_density(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The log density of every entry; minus infinity outside the support.

        Args:
            value: Of a parameter.
        """

    @abstractmethod
    def sample(
        self, key: PRNGKeyArray, value: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Draw every entry.

        Args:
            key: A JAX random key.
            value: Of a parameter: its shape and dtype are those of the draw.
        """


class Normal(AbstractPrior):
    """The normal distribution.

    Attributes:
        mean: The mean, in the unit of the parameter.
        sd: The standard deviation, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `sd` not positive.

    Example:
        ```python
        prior = bjm.Normal(mean=0.5, sd=[0.1, 1.0])
        prior.log_density(jnp.array([0.5, 0.5]))  # [1.384, -0.919]
        ```
    """

    mean: Float[Array, "..."]
    sd: Float[Array, "..."]

    def __init__(self, mean: Any = 0.0, sd: Any = 1.0):
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)

    def log_density(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return guarded(sd > 0, normal_density, value, mean, sd)

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return mean + sd * standard_normal(key, value.shape, value.dtype)


class Laplace(AbstractPrior):
    """The Laplace distribution; its standard deviation is `sqrt(2) * scale`.

    Attributes:
        mean: The mean, in the unit of the parameter.
        scale: The mean distance from `mean`, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `scale` not positive.

    Example:
        ```python
        prior = bjm.Laplace(scale=0.1)  # for coefficients of which most are small
        prior.log_density(jnp.array([0.0, 0.5]))  # [1.609, -3.391]
        ```
    """

    mean: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, mean: Any = 0.0, scale: Any = 1.0):
        self.mean = as_finite("mean", mean)
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)

        def density(value, mean, scale):
            return -jnp.abs(value - mean) / scale - jnp.log(2 * scale)

        return guarded(scale > 0, density, value, mean, scale)

    def sample(self, key, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)
        return mean + scale * standard_laplace(key, value.shape, value.dtype)


class StudentT(AbstractPrior):
    """Student's t, moved to `mean` and widened by `scale`.

    Tails are heavy: from two degrees of freedom down there is no variance, and from
    one down no mean. A draw too large for its dtype is the largest that it holds.

    Attributes:
        df: The degrees of freedom, above 0. With few the tails are heavy.
        mean: The centre, in the unit of the parameter.
        scale: The width, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `df` or `scale` not positive.

    Example:
        ```python
        prior = bjm.StudentT(df=3, scale=2.5)
        prior.log_density(jnp.array([0.0, 10.0]))  # [-1.917, -5.609]
        ```
    """

    df: Float[Array, "..."]
    mean: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, df: Any, mean: Any = 0.0, scale: Any = 1.0):
        self.df = as_positive("df", df)
        self.mean = as_finite("mean", mean)
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)

        def density(value, df, mean, scale):
            z = (value - mean) / (scale * jnp.sqrt(df))
            constant = gammaln((df + 1) / 2) - gammaln(df / 2)
            constant = constant - jnp.log(jnp.pi * df) / 2 - jnp.log(scale)
            return constant - (df + 1) / 2 * log_one_plus_square(z)

        return guarded((df > 0) & (scale > 0), density, value, df, mean, scale)

    def sample(self, key, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)
        of_normal, of_gamma = jax.random.split(key)
        normal = standard_normal(of_normal, value.shape, value.dtype)
        # Of few degrees of freedom the gamma number underflows, its logarithm never.
        log_gamma = jax.random.loggamma(of_gamma, df / 2, value.shape, value.dtype)
        ratio = representable(normal * jnp.exp(-log_gamma / 2))
        return mean + representable(scale * jnp.sqrt(df / 2) * ratio)


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
        prior = bjm.OnNaturalScale(bjm.HalfNormal(0.5), jnp.exp, jnp.log)
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
