"""Log-normal scatter, of what is positive."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy import stats
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from .._special import log_ndtr
from .base import AbstractLikelihood
from .noise import given_or_learnt, width_of
from .observe import POSITIVE, Support, as_observe


class LogNormalLikelihood(AbstractLikelihood):
    """The logarithm is normal around that of the prediction, which is the median.

    Observations and predictions are positive. The log density of a prediction of 0 is
    minus infinity.

    Attributes:
        scale: The standard deviation of the logarithm, above 0: a number, or an array
            that broadcasts to the observation. It is near the relative error.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: Instead of `scale`, a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `scale` is not positive and finite, or both it and
            `log_scale` are given, or neither.

    Example:
        ```python
        likelihood = bjm.likelihoods.LogNormalLikelihood(0.2)  # errors of some 20 %
        concentration = jnp.array([8.0, 4.0, 2.0])
        likelihood.log_prob(concentration, jnp.array([7.0, 4.4, 2.0]))  # -2.386
        ```
    """

    scale: Float[Array, "..."] | None
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = POSITIVE

    def __init__(
        self, scale: Any = None, observe: Any = None, *, log_scale: Any = None
    ):
        self.scale, self.log_scale = given_or_learnt("scale", scale, log_scale)
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {"scale": width_of(self.scale, self.log_scale)}

    def log_density(self, prediction, observation, noise):
        z, log_observation = _standardised(prediction, observation, noise)
        return stats.norm.logpdf(z) - jnp.log(noise["scale"]) - log_observation

    def log_cdf(self, prediction, observation, noise):
        z, _ = _standardised(prediction, observation, noise)
        return jnp.where(observation > 0, log_ndtr(z), -jnp.inf)

    def log_survival(self, prediction, observation, noise):
        z, _ = _standardised(prediction, observation, noise)
        return jnp.where(observation > 0, log_ndtr(-z), 0)

    def draw(self, key, prediction, noise):
        z = jax.random.normal(key, prediction.shape, prediction.dtype)
        return prediction * jnp.exp(noise["scale"] * z)


def _standardised(prediction: Array, observation: Array, noise: dict) -> tuple:
    log_observation = jnp.log(jnp.where(observation > 0, observation, 1))
    return (log_observation - jnp.log(prediction)) / noise["scale"], log_observation
