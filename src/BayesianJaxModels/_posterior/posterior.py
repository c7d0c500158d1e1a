"""What can be drawn from: a model, or a posterior over one."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, PyTree

from .._check import check_finite, check_shape
from .._model import (
    OF_ONE_MODEL,
    AbstractEstimate,
    flatten_means,
    free_columns,
    free_means,
    free_stdvs,
    get_parameters,
    ravel_all,
    refuse,
    replace_free_means,
    sample_all_parameters,
    unflatten_means,
)


class AbstractPosterior(AbstractEstimate):
    """A distribution over the parameters of a model, jointly.

    A plain model with parameters needs no such class: it is its own mean-field
    posterior. Every function that takes a posterior takes either.

    Attributes:
        model: A model with the parameters, shapes and dtypes that draws have.

    Example:
        ```python
        class Doubled(bjm.AbstractPosterior):
            model: bjm.GaussianParameter

            def draw(self, key):
                drawn = bjm.sample_all_parameters(self.model, key)
                return bjm.unflatten_means(drawn, 2 * bjm.flatten_means(drawn))

        posterior = Doubled(bjm.make_parameter([0.5, 2.0]))
        posterior.draw(jax.random.key(0)).mean  # [1.0, 4.0]
        ```
    """

    model: eqx.AbstractVar[PyTree]

    @abstractmethod
    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw once, under `jax.jit` and `jax.vmap` too.

        Args:
            key: A JAX random key.

        Returns:
            A drawn model, as `sample_all_parameters` returns one.
        """

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density over all entries, in nats. Not every posterior has one.

        Args:
            drawn: A model of the same structure, with drawn values.

        Raises:
            NotImplementedError: If the density is not known.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} has no density that is known. Take a plain "
            "model, a `JointPosterior` or a `MixturePosterior` of them."
        )

    def moments(self) -> tuple[Float[ArrayLike, " d"], Float[ArrayLike, "d d"]]:
        """Mean and covariance of the entries. Not every posterior knows them.

        Returns:
            The mean, of shape `(d,)` in the order of `flatten_means` without what is
            known, and the covariance `(d, d)`.

        Raises:
            NotImplementedError: If they are not known.
        """
        raise NotImplementedError(
            f"The moments of a {type(self).__name__} are not known. Start from a plain "
            "model, or a `JointPosterior`, `DrawsPosterior` or `MixturePosterior`."
        )

    def parts(self) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
        """What it is a mixture of, and their weights in float64: itself, as a rule."""
        return np.ones(1), [self]


def draw_model(posterior: PyTree, key: PRNGKeyArray) -> PyTree:
    """Draw once from an `AbstractPosterior`, or all parameters of a plain model."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.draw(key)
    return sample_all_parameters(posterior, key)


def model_of(posterior: PyTree) -> PyTree:
    """A model of the structure that draws have."""
    return posterior.model if isinstance(posterior, AbstractPosterior) else posterior


def log_prob_of(posterior: PyTree, drawn: PyTree) -> Float[Array, ""]:
    """The log density of drawn values under a posterior, or under a plain model."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.log_prob(drawn)
    values = get_parameters(drawn)
    parameters = get_parameters(posterior).items()
    return jnp.sum(ravel_all([p.log_prob(values[name].mean) for name, p in parameters]))


def parts_of(posterior: PyTree) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
    """The parts of a mixture with their weights; of a plain model, itself."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.parts()
    return np.ones(1), [posterior]


def moments(
    posterior: PyTree,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance over all entries, in NumPy and float64.

    Args:
        posterior: An `AbstractPosterior`, or a plain model, whose entries are
            independent.

    Raises:
        NotImplementedError: For a posterior whose moments are not known.
    """
    if isinstance(posterior, AbstractPosterior):
        mean, covariance = posterior.moments()
    else:
        mean = free_means(posterior)
        covariance = np.diag(np.asarray(free_stdvs(posterior), np.float64) ** 2)
    return np.asarray(mean, np.float64), np.asarray(covariance, np.float64)


class DrawsPosterior(AbstractPosterior):
    """A posterior made of draws, with equal weights or their own.

    `draw(key)` picks one of them in proportion to the weights, so whatever is drawn
    from here has equal weights. With `num_samples=None`, `map_posterior` and
    `posterior_trajectories` take every draw once, in order; a trajectory then carries
    the weights and summaries honour them.

    Attributes:
        model: Says what the parameters are.
        draws: Of shape `(n, d)`: a row for each draw, its entries ordered as by
            `flatten_means`; those of `DeterministicParameter`s, which are known, may be
            left out, and the engines leave them out.
        log_weights: The logarithms of the weights up to a constant, of shape `(n,)`, or
            `None` where all are equal.
        diagnostics: What the engine that made the draws says of them, if one did.

    Raises:
        ValueError: If shapes do not fit each other or the model, or a draw is not
            finite.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0])
        draws = jnp.array([[0.4, 1.9], [0.5, 2.0], [0.6, 2.3]])  # of another sampler
        posterior = bjm.DrawsPosterior(rates, draws, jnp.log(jnp.array([1, 2, 1])))
        posterior.weights  # [0.25, 0.5, 0.25]
        posterior.item(2).mean  # [0.6, 2.3]
        ```
    """

    model: PyTree
    draws: Float[Array, "..."]
    log_weights: Float[Array, "..."] | None = None
    diagnostics: eqx.Module | None = None

    def __check_init__(self):
        """Hold draws and weights to the model's size and to each other."""
        num_entries = flatten_means(self.model).size
        num_free = free_means(self.model).size
        if jnp.shape(self.draws)[-1:] == (num_free,):
            num_entries = num_free
        check_shape("draws", self.draws, (len(self.draws), num_entries))
        check_finite("draws", self.draws)
        if self.log_weights is not None:
            check_shape("log_weights", self.log_weights, (len(self.draws),))

    @property
    def weights(self) -> Float[Array, " n"]:
        """The weights, which sum to 1."""
        if self.log_weights is None:
            return jnp.full(len(self.draws), 1 / len(self.draws), self.draws.dtype)
        return jax.nn.softmax(self.log_weights)

    def item(self, index: int | Int[Array, ""]) -> PyTree:
        """One of the draws, as a drawn model.

        Args:
            index: From 0 to `len(draws) - 1`.
        """
        values = self.draws[index]
        is_whole = values.size == flatten_means(self.model).size
        place = unflatten_means if is_whole else replace_free_means
        return place(self.model, values)

    def get_parameters(self) -> None:
        """Refuse: `model` says what the parameters are, not where."""
        refuse("get_parameters", self, OF_ONE_MODEL)

    def flatten_means(self) -> Float[Array, " d"]:
        """The means over the draws, of shape `(d,)`."""
        return jnp.sum(self.weights[:, None] * self.draws, axis=0)

    def flatten_stdvs(self) -> Float[Array, " d"]:
        """The standard deviations over the draws, of shape `(d,)`."""
        distance = self.draws - self.flatten_means()
        return jnp.sqrt(jnp.sum(self.weights[:, None] * distance**2, axis=0))

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick one of the draws in proportion to the weights."""
        if self.log_weights is None:
            return self.item(jax.random.randint(key, (), 0, len(self.draws)))
        # A uniform number against the cumulative weights: n additions, where a
        # categorical draw would take n random numbers.
        cumulative = jnp.cumsum(self.weights)
        uniform = jax.random.uniform(key, (), cumulative.dtype) * cumulative[-1]
        index = jnp.searchsorted(cumulative, uniform, side="right")
        return self.item(jnp.minimum(index, len(self.draws) - 1))

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The weighted mean and covariance of the draws, in float64."""
        draws = np.asarray(self.draws, np.float64)
        is_free = np.asarray(free_columns(self.model))
        if draws.shape[1] == len(is_free):
            draws = draws[:, is_free]
        return weighted_moments(draws, np.asarray(self.weights, np.float64))


def weighted_moments(
    draws: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance of draws whose weights sum to 1."""
    mean = weights @ draws
    deviations = draws - mean
    return mean, (weights[:, None] * deviations).T @ deviations
