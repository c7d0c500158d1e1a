"""Student's t: scatter with outliers."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from .._special import student_t_log_density, student_t_log_survival
from .base import AbstractLikelihood
from .noise import as_good_as_infinite, as_noise, given_or_learnt, width_of
from .observe import REAL, Support, as_observe


class StudentTLikelihood(AbstractLikelihood):
    """Student's t around the prediction: an outlier costs little.

    Attributes:
        df: The degrees of freedom, above 0. With few the tails are heavy; infinity
            leaves the normal distribution.
        scale: The width, above 0, in the unit of the observation: a number, or an array
            that broadcasts to it.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_scale: Instead of `scale`, a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_scale` is of another type.
        ValueError: If `df` is not positive, or `scale` not positive and finite, or both
            it and `log_scale` are given, or neither.

    Example:
        ```python
        likelihood = bjm.likelihoods.StudentTLikelihood(df=4, scale=0.1)
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
        self, df: Any, scale: Any = None, observe: Any = None, *, log_scale: Any = None
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
