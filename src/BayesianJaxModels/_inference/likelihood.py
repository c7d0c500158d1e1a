"""How observations scatter around what a model predicts."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from .check import like
from .observe import Support, check_observation, observed


class AbstractLikelihood(eqx.Module):
    """The distribution of observations around what a model predicts.

    Entries are independent given the prediction. What is observed of a prediction is
    `observe`: all of it if `None`; one index, or a tuple of indices, into its last
    axis; or a function of it.

    The noise is given as a number, or as an array that broadcasts to the observation,
    or learnt: build the likelihood from a drawn model inside your log density, or make
    it a part of the model with `log_scale=make_parameter(...)`.

    A subclass of your own works as those of the package do: give it `observe`,
    `support`, `noise`, `log_density` and `draw`.

    Attributes:
        observe: What is observed of a prediction: an index into its last axis, a tuple
            of indices, a function of it, or `None` for all of it.
        support: Which observations there can be, and which predictions they can have.

    Example:
        ```python
        class LaplaceLikelihood(bjm.AbstractLikelihood):
            observe = None
            support = bjm.NormalLikelihood.support  # any real number
            noise = {}

            def log_density(self, prediction, observation, noise):
                return jax.scipy.stats.laplace.logpdf(observation - prediction)

            def draw(self, key, prediction, noise):
                return prediction + jax.random.laplace(key, prediction.shape)

        LaplaceLikelihood().log_prob(jnp.zeros(2), jnp.array([0.5, -1.0]))  # -2.886
        ```
    """

    observe: eqx.AbstractVar[Any]
    support: eqx.AbstractClassVar[Support]

    @property
    @abstractmethod
    def noise(self) -> dict[str, Float[Array, "..."]]:
        """Positive numbers that the distribution has beside the prediction, by name."""

    @abstractmethod
    def log_density(
        self,
        prediction: Float[Array, "*shape"],
        observation: Float[Array, "*shape"],
        noise: dict[str, Float[Array, "*shape"]],
    ) -> Float[Array, "*shape"]:
        """The log density of every entry, all of which are inside the support.

        Args:
            prediction: Of what is observed.
            observation: In the shape of the prediction.
            noise: What the property `noise` says, in the same shape.
        """

    @abstractmethod
    def draw(
        self,
        key: PRNGKeyArray,
        prediction: Float[Array, "*shape"],
        noise: dict[str, Float[Array, "*shape"]],
    ) -> Float[Array, "*shape"]:
        """Draw every entry of an observation.

        Args:
            key: A JAX random key.
            prediction: Of what is observed.
            noise: What the property `noise` says, in the shape of the prediction.
        """

    def log_prob(
        self,
        prediction: PyTree,
        observation: ArrayLike,
        mask: ArrayLike | None = None,
    ) -> Float[Array, ""]:
        """The log density of all observations together, the sum of `log_prob_each`.

        Args:
            prediction: As `log_prob_each` takes it.
            observation: In the shape of what is observed of the prediction.
            mask: Which entries of the observation count.
        """
        return jnp.sum(self.log_prob_each(prediction, observation, mask))

    def log_prob_each(
        self,
        prediction: PyTree,
        observation: ArrayLike,
        mask: ArrayLike | None = None,
    ) -> Float[Array, "..."]:
        """The log density of every entry of an observation.

        Args:
            prediction: What `observe` takes: an array with any leading axes, or for a
                function anything.
            observation: In the shape of what is observed of the prediction.
            mask: Which entries of the observation count, in its shape or in that of its
                leading axes. Those that do not may hold anything, NaN included.

        Returns:
            An array in the shape of the observation and the dtype of the prediction, 0
            where the mask is false. Entries whose prediction is not finite or outside
            the support have minus infinity, and gradients of zero.

        Raises:
            ValueError: If shapes differ, or an observation that counts is not finite or
                outside the support (under `jax.jit`, a `RuntimeError` when it runs).
        """
        prediction = observed(self.observe, prediction)
        observation, counts = check_observation(
            observation, mask, prediction, self.support
        )
        possible, prediction, noise = self._guarded(prediction, counts)
        # What does not count is replaced before it meets a logarithm: in the backward
        # pass zero times infinity would be NaN.
        observation = jnp.where(counts & possible, observation, 1)
        each = self.log_density(prediction, observation, noise)
        return jnp.where(counts, jnp.where(possible, each, -jnp.inf), 0)

    def sample(self, key: PRNGKeyArray, prediction: PyTree) -> Float[Array, "..."]:
        """Draw an observation.

        Args:
            key: A JAX random key.
            prediction: What `observe` takes.

        Returns:
            An array in the shape and dtype of what is observed of the prediction, NaN
            where that is not finite or outside the support. Counts are whole numbers.
        """
        prediction = observed(self.observe, prediction)
        possible, prediction, noise = self._guarded(prediction)
        return jnp.where(possible, self.draw(key, prediction, noise), jnp.nan)

    def _guarded(
        self, prediction: Array, counts: Any = True
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Which entries are possible, and prediction and noise with 1 in the others."""
        noise = self.noise
        noise = dict(zip(noise, like(prediction, **noise), strict=True))
        possible = self.support.of_prediction(prediction)
        for width in noise.values():
            possible = possible & (width > 0) & jnp.isfinite(width)
        prediction, noise = jax.tree.map(
            lambda entries: jnp.where(possible & counts, entries, 1),
            (prediction, noise),
        )
        return possible, prediction, noise
