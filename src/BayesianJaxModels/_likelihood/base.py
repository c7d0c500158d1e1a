"""How observations scatter around what a model predicts."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from .._check import are_positive, like
from .noise import check_noise
from .observe import Support, check_observation, observed

Entries = Float[Array, "*shape"]
Noise = dict[str, Float[Array, "*shape"]]


class AbstractLikelihood(eqx.Module):
    """The distribution of observations around what a model predicts.

    Entries are independent given the prediction, but for those of a row in
    `MultivariateNormalLikelihood`.

    The noise is a number, an array that broadcasts to the observation, or learnt: build
    the likelihood from a drawn model inside your log density, or make it a part of the
    model with `log_scale=make_parameter(...)`. A draw whose noise is not positive has
    the density minus infinity. In an array, entries that a mask leaves out may hold
    anything but negative numbers.

    A subclass of your own needs `observe`, `support`, `noise`, `log_density` and
    `draw`. With `log_cdf` and `log_survival` its observations can be censored.

    Attributes:
        observe: What is observed of a prediction: an index into its last axis, a tuple
            of indices, a function of it, or `None` for all of it.
        support: Which observations there can be, and which predictions they can have.

    Example:
        ```python
        class LaplaceLikelihood(bjm.likelihoods.AbstractLikelihood):
            observe = None
            support = bjm.likelihoods.NormalLikelihood.support  # any real number
            noise = {}

            def log_density(self, prediction, observation, noise):
                return jax.scipy.stats.laplace.logpdf(observation - prediction)

            def draw(self, key, prediction, noise):
                return prediction + jax.random.laplace(key, prediction.shape)

        LaplaceLikelihood().log_prob(jnp.zeros(2), jnp.array([0.5, -1.0]))  # -2.886
        ```
    """

    observe: eqx.AbstractVar[Any]
    support: eqx.AbstractVar[Support]

    @property
    @abstractmethod
    def noise(self) -> dict[str, Float[Array, "..."]]:
        """Positive numbers that the distribution has beside the prediction, by name."""

    @abstractmethod
    def log_density(
        self, prediction: Entries, observation: Entries, noise: Noise
    ) -> Entries:
        """The log density of every entry, all of which are inside the support.

        Args:
            prediction: Of what is observed.
            observation: In the shape of the prediction.
            noise: What the property `noise` says, in the same shape.
        """

    @abstractmethod
    def draw(self, key: PRNGKeyArray, prediction: Entries, noise: Noise) -> Entries:
        """Draw every entry of an observation.

        Args:
            key: A JAX random key.
            prediction: Of what is observed.
            noise: What the property `noise` says, in the shape of the prediction.
        """

    def log_cdf(
        self, prediction: Entries, observation: Entries, noise: Noise
    ) -> Entries:
        """The log probability of lying at or below the observation, for `Censored`.

        Args:
            prediction: Of what is observed.
            observation: In the shape of the prediction; any finite number.
            noise: As `log_density` takes it.

        Raises:
            NotImplementedError: If the likelihood has none.
        """
        raise NotImplementedError(_has_no(self, "log_cdf"))

    def log_survival(
        self, prediction: Entries, observation: Entries, noise: Noise
    ) -> Entries:
        """The log probability of lying above the observation, for `Censored`.

        Args:
            prediction: Of what is observed.
            observation: In the shape of the prediction; any finite number.
            noise: As `log_density` takes it.

        Raises:
            NotImplementedError: If the likelihood has none.
        """
        raise NotImplementedError(_has_no(self, "log_survival"))

    def marginal_log_density(
        self,
        prediction: Entries,
        observation: Entries,
        noise: Noise,
        counts: Bool[Array, "*shape"],
    ) -> Float[Array, "..."]:
        """The log density of the entries that count, with the others integrated out.

        Independent entries that do not count have a 0. A distribution over whole rows
        has one number for each row.

        Args:
            prediction: Of what is observed, 1 where it does not count.
            observation: In the shape of the prediction, 1 where it does not count.
            noise: As `log_density` takes it, 1 where it does not count.
            counts: Which entries do.
        """
        return jnp.where(counts, self.log_density(prediction, observation, noise), 0)

    def log_prob(
        self, prediction: PyTree, observation: ArrayLike, mask: ArrayLike | None = None
    ) -> Float[Array, ""]:
        """The log density of all observations together, the sum of `log_prob_each`.

        Args:
            prediction: As `log_prob_each` takes it.
            observation: In the shape of what is observed of the prediction.
            mask: Which entries of the observation count.
        """
        return jnp.sum(self.log_prob_each(prediction, observation, mask))

    def log_prob_each(
        self, prediction: PyTree, observation: ArrayLike, mask: ArrayLike | None = None
    ) -> Float[Array, "..."]:
        """The log density of every entry of an observation: its pointwise terms.

        Args:
            prediction: What `observe` takes: an array with any leading axes, or for a
                function anything.
            observation: In the shape of what is observed of the prediction.
            mask: Which entries of the observation count, in its shape or in that of its
                leading axes. Those that do not may hold anything, NaN included.

        Returns:
            In the shape of the observation and the dtype of the prediction, 0 where the
            mask is false: leave those out of pointwise methods such as leave-one-out.
            `MultivariateNormalLikelihood` has one number for each row, in the shape of
            the leading axes. Minus infinity, with gradients of zero, where the
            prediction is not finite or outside the support, or the noise not positive
            and finite, and in a compiled function where the observation is outside.

        Raises:
            ValueError: If shapes differ, or an observation that counts is known not to
                be finite or inside the support, or its noise not to be positive.
        """
        prediction = observed(self.observe, prediction)
        observation, counts, can_be = check_observation(
            observation, mask, prediction, self.support
        )
        # Noise that is known while JAX traces is checked once.
        with jax.ensure_compile_time_eval():
            noise = self._noise_like(prediction)
            check_noise(noise, counts)
        possible, prediction, noise = self._guarded(prediction, noise, counts)
        possible = possible & can_be
        # What does not count is replaced before it meets a logarithm: in the backward
        # pass zero times infinity would be NaN.
        observation = jnp.where(counts & possible, observation, 1)
        each = self.marginal_log_density(prediction, observation, noise, counts)
        of_a_row = tuple(range(each.ndim, counts.ndim))
        fails = jnp.any(counts & ~possible, axis=of_a_row)
        return jnp.where(fails, -jnp.inf, each)

    def sample(self, key: PRNGKeyArray, prediction: PyTree) -> Float[Array, "..."]:
        """Draw an observation.

        Args:
            key: A JAX random key.
            prediction: What `observe` takes.

        Returns:
            In the shape and dtype of what is observed of the prediction, NaN where that
            is not finite or outside the support, or the noise is not positive and
            finite. Counts are whole numbers.
        """
        prediction = observed(self.observe, prediction)
        noise = self._noise_like(prediction)
        possible, prediction, noise = self._guarded(prediction, noise)
        return jnp.where(possible, self.draw(key, prediction, noise), jnp.nan)

    def _noise_like(self, prediction: Array) -> dict[str, Array]:
        noise = self.noise
        return dict(zip(noise, like(prediction, **noise), strict=True))

    def _guarded(
        self, prediction: Array, noise: dict[str, Array], counts: Any = True
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Which entries are possible, and prediction and noise with 1 in the others."""
        prediction = jnp.where(counts, prediction, 1)
        possible = self.support.of_prediction(prediction)
        for width in noise.values():
            possible = possible & are_positive(width)
        return possible, *jax.tree.map(
            lambda entries: jnp.where(possible & counts, entries, 1),
            (prediction, noise),
        )


def _has_no(likelihood: AbstractLikelihood, ability: str) -> str:
    kind = type(likelihood).__name__
    return (
        f"`{kind}` has no `{ability}(prediction, observation, noise)`, so that its "
        "observations cannot be censored. In a subclass of your own, define it."
    )
