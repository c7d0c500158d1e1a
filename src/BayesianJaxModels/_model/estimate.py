"""What is known of a model's parameters, where it is not in the model itself."""

from typing import Any, NoReturn

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

OVER_DRAWS = "Take it over draws, with `map_posterior(flatten_means, ...)`."
OF_ONE_MODEL = "Pass a model with parameters, such as one that was drawn."


class AbstractEstimate(eqx.Module):
    """A posterior or a fit: a pytree that holds a model as its template.

    Means and widths in the template are not what was learnt, so the verbs that read
    them, or draw, ask the methods here. A kind without an answer refuses by name.

    Attributes:
        model: A model with the parameters, shapes and dtypes in question.
    """

    model: eqx.AbstractVar[PyTree]

    def as_posterior(self) -> Any:
        """The posterior that it is, or that it holds.

        Raises:
            TypeError: If it is a point.
        """
        raise TypeError(
            f"A {type(self).__name__} is no posterior. Pass its `model`, or of a mode "
            "`laplace(log_density, estimate)`."
        )

    def get_parameters(self, verb: str = "get_parameters") -> None:
        """Refuse, if none of the parameters inside says what was learnt.

        Args:
            verb: What is asked for them.
        """

    def refuse_as_model(self, verb: str) -> NoReturn:
        """Say that a verb takes one model and not this.

        Args:
            verb: What is asked for.
        """
        refuse(verb, self, OF_ONE_MODEL)

    def flatten_means(self) -> Float[Array, " n"]:
        """The means of all entries."""
        refuse("flatten_means", self, OVER_DRAWS)

    def flatten_stdvs(self) -> Float[Array, " n"]:
        """The standard deviations of all entries."""
        refuse("flatten_stdvs", self, OVER_DRAWS)

    def moments_of_values(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and standard deviation of the `value` of each parameter of `model`.

        In the order of `get_parameters` and in their shapes, in float64 on the host.
        NaN for a standard deviation that is not known.
        """
        refuse("parameter_table", self, OVER_DRAWS)

    def entropy(self) -> Float[Array, ""]:
        """The differential entropy over all entries."""
        refuse("entropy", self, "It has no closed form.")

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """A drawn model.

        Args:
            key: A JAX random key.
        """
        refuse("sample_all_parameters", self, "It is one point: take its `model`.")


def refuse(verb: str, estimate: Any, remedy: str) -> NoReturn:
    """Say that a verb has no answer for an estimate."""
    raise TypeError(
        f"`{verb}` does not know the answer for a {type(estimate).__name__}, and what "
        f"its template `model` would say is not what was learnt. {remedy}"
    )


def check_model(verb: str, model: PyTree) -> None:
    """Raise a `TypeError` where a posterior or fit came instead of a model."""
    if isinstance(model, AbstractEstimate):
        model.refuse_as_model(verb)


def check_has_parameters(verb: str, model: PyTree) -> None:
    """Raise a `TypeError` where no parameter inside says what was learnt."""
    if isinstance(model, AbstractEstimate):
        model.get_parameters(verb)
