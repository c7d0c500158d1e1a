"""Poisson counts."""

from typing import Any, ClassVar

import equinox as eqx

from .._special import deviance
from .base import AbstractLikelihood
from .counts import by_count, draw_counts, log_of_own_mean, not_below_zero
from .observe import COUNTS, Support, as_observe


class PoissonLikelihood(AbstractLikelihood):
    """Counts with the prediction as their mean and variance.

    A mean of 0 makes a count of 0 certain. A solver may leave a mean just below 0; down
    to minus a thousandth of a count it is read as 0. Rates from 1e9 on, which
    `jax.random.poisson` cannot draw, are sampled as NaN.

    Attributes:
        observe: What is observed of a prediction, as in `AbstractLikelihood`.

    Raises:
        TypeError: If `observe` is of another type.

    Example:
        ```python
        infected = jnp.array([3.0, 25.0, 75.0])  # in bed, by the model, on three days
        likelihood = bjm.likelihoods.PoissonLikelihood()
        likelihood.log_prob(infected, jnp.array([3, 22, 78]))  # -7.309
        ```
    """

    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = COUNTS

    def __init__(self, observe: Any = None):
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {}

    def log_density(self, prediction, observation, noise):
        mean = not_below_zero(prediction)

        def of_some(count, mean):
            return log_of_own_mean(count) - deviance(count, mean, count - mean)

        return by_count(observation, mean, mean, of_some)

    def draw(self, key, prediction, noise):
        return draw_counts(key, not_below_zero(prediction))
