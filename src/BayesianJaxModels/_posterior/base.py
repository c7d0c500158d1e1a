"""What a posterior is."""

from abc import abstractmethod

import equinox as eqx
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, PyTree

from .._model import AbstractEstimate, get_parameters, has_values
from .._prior import Prior

UNCHECKED = "not checked: `diagnose` compares it with its log density"


class AbstractPosterior(AbstractEstimate):
    """A distribution over the parameters of a model, jointly.

    A plain model with parameters is its own mean-field posterior. Every function that
    takes a posterior takes either.

    A subclass of your own needs `draw`. With `log_prob` and `moments` it can start
    `importance` and be judged by `diagnose`, with `draw_and_log_prob` `elbo` trains it,
    and with `num_items` and `item` its draws are taken once each. `print(posterior)`
    and a notebook show `posterior_table(posterior)`; `repr` is the structure.

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

    def as_posterior(self) -> "AbstractPosterior":
        return self

    @abstractmethod
    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw a model as `sample_all_parameters` does, under JAX transformations too.

        Args:
            key: A JAX random key.
        """

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density over all entries, in nats.

        Args:
            drawn: A model of the same structure, with drawn values.

        Raises:
            NotImplementedError: If the density is not known.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} has no density that is known. Take a plain "
            "model, a `JointPosterior` or a `MixturePosterior` of them."
        )

    def draw_and_log_prob(
        self, key: PRNGKeyArray, path_only: bool = False
    ) -> tuple[PyTree, Float[Array, ""]]:
        """What `draw` draws, and its log density; both can be trained through.

        Args:
            key: A JAX random key.
            path_only: Whether the density has derivatives with respect to the draw
                alone, not to the fields of the posterior.

        Raises:
            NotImplementedError: If draws are no smooth function of the fields.
        """
        raise NotImplementedError(_missing(self, "draw_and_log_prob"))

    @property
    def noise_size(self) -> int:
        """How many normal variates `displaced_and_log_prob` takes.

        Raises:
            NotImplementedError: If no draw is made of normal variates.
        """
        raise NotImplementedError(_missing(self, "noise_size"))

    def displaced_and_log_prob(
        self, normal: Float[Array, " m"], path_only: bool = False
    ) -> tuple[PyTree, Float[Array, ""]]:
        """The draw that standard normal variates make, and its log density.

        Args:
            normal: Of shape `(noise_size,)`. Minus the same gives the draw reflected
                about the means.
            path_only: As in `draw_and_log_prob`.

        Raises:
            NotImplementedError: If no draw is made of normal variates.
        """
        raise NotImplementedError(_missing(self, "displaced_and_log_prob"))

    def mean_log_prior(self, prior: Prior) -> Float[Array, ""]:
        """The mean of `log_prior` over draws, in closed form.

        Args:
            prior: Of the parameters of `model`.

        Raises:
            NotImplementedError: If it is not known.
        """
        raise NotImplementedError(_missing(self, "mean_log_prior"))

    def moments(self) -> tuple[Float[ArrayLike, " d"], Float[ArrayLike, "d d"]]:
        """Mean and covariance of the entries, of shapes `(d,)` and `(d, d)`.

        The entries are those of `flatten_means` without what is known.

        Raises:
            NotImplementedError: If they are not known.
        """
        raise NotImplementedError(
            f"The moments of a {type(self).__name__} are not known. Start from a plain "
            "model, or a `JointPosterior`, `DrawsPosterior` or `MixturePosterior`."
        )

    def parts(self) -> tuple[Float[np.ndarray, " k"], list["AbstractPosterior"]]:
        """The weights in float64 and the parts of a mixture; of others 1 and itself."""
        return np.ones(1), [self]

    def normal_parameters(self) -> list[bool]:
        """Of which parameters each entry, unconstrained, has a normal distribution.

        `flatten_means` and `flatten_stdvs` are then those of it.
        """
        return [False] * len(get_parameters(self.model))

    def of_entries(self) -> dict[str, Float[np.ndarray, " d"]]:
        """What an engine says of each entry, by the heading that it has in a table."""
        return {}

    def notes(self) -> list[str]:
        """What there is to say of the whole below a table, a line each."""
        return [UNCHECKED]

    def moments_of_values(self) -> list[tuple[np.ndarray, np.ndarray]]:
        from .table import posterior_table  # which imports this file

        rows = posterior_table(self).parameters
        return [(row.mean, row.stdv) for row in rows]

    def __str__(self) -> str:
        """The table of the posterior; under JAX transformations the structure."""
        from .table import posterior_table  # which imports this file

        return str(posterior_table(self)) if has_values(self) else repr(self)

    def _repr_html_(self) -> str:
        """The table of the posterior, for notebooks."""
        from .table import posterior_table  # which imports this file

        return posterior_table(self)._repr_html_()

    @property
    def num_items(self) -> int | None:
        """How many draws it is made of; `None` where it can draw any number."""
        return None

    @property
    def item_weights(self) -> Float[Array, " n"] | None:
        """The weights of those draws, which sum to 1; `None` where they are equal."""
        return None

    @property
    def chains(self) -> tuple[int, int]:
        """How many chains those draws are of, one after the other, and their length."""
        return 1, self.num_items or 0

    def item(self, index: int | Int[Array, ""]) -> PyTree:
        """One of the draws that it is made of, as a drawn model.

        Args:
            index: From 0 to `num_items - 1`.

        Raises:
            NotImplementedError: If it is not made of draws.
        """
        raise NotImplementedError(_missing(self, "item"))


def _missing(posterior: AbstractPosterior, ability: str) -> str:
    kind = type(posterior).__name__
    return (
        f"A {kind} has no `{ability}`: its class does not define it. Take a model with "
        "parameters or a `JointPosterior`."
    )
