"""How measurements scatter around what a model predicts."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy import stats
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from .._special import log_ndtr, student_t_log_density, student_t_log_survival
from .likelihood import AbstractLikelihood
from .noise import as_good_as_infinite, as_noise, given_or_learnt, width_of
from .observe import POSITIVE, REAL, Support, as_observe


class NormalLikelihood(AbstractLikelihood):
    """Normal around the prediction, with the standard deviation `scale`.

    Attributes:
        scale: Above 0, in the unit of the observation: a number, or an array that
            broadcasts to it.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: In the place of `scale`: a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `scale` is not positive and finite, or both it and
            `log_scale` are given, or neither.

    Example:
        ```python
        ys = jnp.array([[1.0, 9.0], [0.6, 8.0], [0.4, 7.0]])  # 3 times, 2 states
        data = jnp.array([1.1, 0.6, jnp.nan])  # of the first state
        likelihood = bjm.NormalLikelihood(0.1, observe=0)
        likelihood.log_prob(ys, data, mask=jnp.array([True, True, False]))  # 2.27
        ```
    """

    scale: Float[Array, "..."] | None
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = REAL

    def __init__(
        self,
        scale: Any = None,
        observe: Any = None,
        *,
        log_scale: Any = None,
    ):
        self.scale, self.log_scale = given_or_learnt("scale", scale, log_scale)
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {"scale": width_of(self.scale, self.log_scale)}

    def log_density(self, prediction, observation, noise):
        z = (observation - prediction) / noise["scale"]
        return stats.norm.logpdf(z) - jnp.log(noise["scale"])

    def log_cdf(self, prediction, observation, noise):
        return log_ndtr((observation - prediction) / noise["scale"])

    def log_survival(self, prediction, observation, noise):
        return log_ndtr((prediction - observation) / noise["scale"])

    def draw(self, key, prediction, noise):
        z = jax.random.normal(key, prediction.shape, prediction.dtype)
        return prediction + noise["scale"] * z


class StudentTLikelihood(AbstractLikelihood):
    """Student's t around the prediction: an outlier costs little.

    Attributes:
        df: The degrees of freedom, above 0. With few the tails are heavy; infinity
            leaves the normal distribution.
        scale: The width, above 0, in the unit of the observation: a number, or an array
            that broadcasts to it.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: In the place of `scale`: a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `df` is not positive, or `scale` not positive and finite, or both
            it and `log_scale` are given, or neither.

    Example:
        ```python
        likelihood = bjm.StudentTLikelihood(df=4, scale=0.1)
        prediction, data = jnp.ones(3), jnp.array([1.0, 1.1, 3.0])  # an outlier
        likelihood.log_prob_each(prediction, data)  # [1.32, 0.76, -10.22]
        ```
    """

    df: Float[Array, "..."]
    scale: Float[Array, "..."] | None
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = REAL

    def __init__(
        self,
        df: Any,
        scale: Any = None,
        observe: Any = None,
        *,
        log_scale: Any = None,
    ):
        self.df = as_noise("df", df, may_be_infinite=True)
        self.scale, self.log_scale = given_or_learnt("scale", scale, log_scale)
        self.observe = as_observe(observe)

    @property
    def noise(self):
        df = as_good_as_infinite(self.df)
        return {"df": df, "scale": width_of(self.scale, self.log_scale)}

    def log_density(self, prediction, observation, noise):
        z = (observation - prediction) / noise["scale"]
        return student_t_log_density(z, noise["df"]) - jnp.log(noise["scale"])

    def log_cdf(self, prediction, observation, noise):
        z = (prediction - observation) / noise["scale"]
        return student_t_log_survival(z, noise["df"])

    def log_survival(self, prediction, observation, noise):
        z = (observation - prediction) / noise["scale"]
        return student_t_log_survival(z, noise["df"])

    def draw(self, key, prediction, noise):
        z = jax.random.t(key, noise["df"], prediction.shape, prediction.dtype)
        return prediction + noise["scale"] * z


class LogNormalLikelihood(AbstractLikelihood):
    """The logarithm is normal around that of the prediction, which is the median.

    Observations and predictions are positive: around a median of 0 there is nothing,
    and the density is minus infinity.

    Attributes:
        scale: The standard deviation of the logarithm, above 0: a number, or an array
            that broadcasts to the observation. It is near the relative error.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: In the place of `scale`: a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `scale` is not positive and finite, or both it and
            `log_scale` are given, or neither.

    Example:
        ```python
        likelihood = bjm.LogNormalLikelihood(0.2)  # errors of some 20 %
        concentration = jnp.array([8.0, 4.0, 2.0])
        likelihood.log_prob(concentration, jnp.array([7.0, 4.4, 2.0]))  # -2.386
        ```
    """

    scale: Float[Array, "..."] | None
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = POSITIVE

    def __init__(
        self,
        scale: Any = None,
        observe: Any = None,
        *,
        log_scale: Any = None,
    ):
        self.scale, self.log_scale = given_or_learnt("scale", scale, log_scale)
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {"scale": width_of(self.scale, self.log_scale)}

    def log_density(self, prediction, observation, noise):
        log_observation = jnp.log(observation)
        z = (log_observation - jnp.log(prediction)) / noise["scale"]
        return stats.norm.logpdf(z) - jnp.log(noise["scale"]) - log_observation

    def log_cdf(self, prediction, observation, noise):
        is_positive = observation > 0
        log_observation = jnp.log(jnp.where(is_positive, observation, 1))
        z = (log_observation - jnp.log(prediction)) / noise["scale"]
        return jnp.where(is_positive, log_ndtr(z), -jnp.inf)

    def log_survival(self, prediction, observation, noise):
        is_positive = observation > 0
        log_observation = jnp.log(jnp.where(is_positive, observation, 1))
        z = (jnp.log(prediction) - log_observation) / noise["scale"]
        return jnp.where(is_positive, log_ndtr(z), 0)

    def draw(self, key, prediction, noise):
        z = jax.random.normal(key, prediction.shape, prediction.dtype)
        return prediction * jnp.exp(noise["scale"] * z)
