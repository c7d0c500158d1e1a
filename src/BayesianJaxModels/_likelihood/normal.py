"""Normal scatter."""

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
from .observe import REAL, Support, as_observe


class NormalLikelihood(AbstractLikelihood):
    """Normal around the prediction, with the standard deviation `scale`.

    Attributes:
        scale: Above 0, in the unit of the observation: a number, or an array that
            broadcasts to it.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: Instead of `scale`, a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `scale` is not positive and finite, or both it and
            `log_scale` are given, or neither.

    Example:
        ```python
        ys = jnp.array([[1.0, 9.0], [0.6, 8.0], [0.4, 7.0]])  # 3 times, 2 states
        data = jnp.array([1.1, 0.6, jnp.nan])  # of the first state
        likelihood = bjm.likelihoods.NormalLikelihood(0.1, observe=0)
        likelihood.log_prob(ys, data, mask=jnp.array([True, True, False]))  # 2.27
        ```
    """

    scale: Float[Array, "..."] | None
    log_scale: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = REAL

    def __init__(
        self, scale: Any = None, observe: Any = None, *, log_scale: Any = None
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
