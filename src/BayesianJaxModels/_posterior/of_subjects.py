"""A posterior for other subjects than those it was learnt from."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from .._check import check_key
from .._compute import fold_in
from .._model import (
    OF_ONE_MODEL,
    get_parameters,
    map_parameters,
    refuse,
    replace_mean,
)
from .._prior import Prior
from .._problem import Population
from .base import AbstractPosterior


class OfSubjects(AbstractPosterior):
    """Draws whose effects are those of some subjects, seen or new.

    What is not known of a new one is drawn from the prior of the effects, given all
    else of the same draw.

    Attributes:
        model: Its effects have a row for each of these subjects.
        posterior: Of the subjects that were seen.
        prior: The prior of the population.
        effects: The names of the parameters with a row for each subject.
        seen: The row of each in the posterior, or -1 of a new one.
        key: For the effects of new ones, where draws are taken in order.
    """

    model: PyTree
    posterior: AbstractPosterior
    prior: Prior
    effects: tuple[str, ...] = eqx.field(static=True)
    seen: Int[np.ndarray | Array, " m"]
    key: PRNGKeyArray

    @classmethod
    def of(
        cls,
        posterior: AbstractPosterior,
        population: Population,
        seen: list[int],
        key: PRNGKeyArray,
    ) -> "OfSubjects":
        """For the subjects of a population, by their rows in a posterior, or -1.

        Raises:
            ValueError: If the prior of the effects has an axis of the subjects seen.
        """
        rows, effects = np.asarray(seen), population.effects
        model = _with_rows(posterior.model, effects, lambda mean: mean[rows])
        found = cls(model, posterior, population.prior, effects, rows, key)
        try:
            jax.eval_shape(lambda: found._new(model, key))
        except (TypeError, ValueError) as error:
            raise ValueError(
                "The prior of the effects does not fit new subjects: it has an axis "
                f"of those that were seen. Let covariates come in in `problem_of`: "
                f"{error}"
            ) from error
        return found

    def get_parameters(self, verb="get_parameters") -> None:
        """Refuse: `model` says what the parameters are, not where."""
        refuse(verb, self, OF_ONE_MODEL)

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw of the posterior, and the effects of new subjects from their prior."""
        key, key_new = jax.random.split(check_key(key))
        return self._new(self._chosen(self.posterior.draw(key)), key_new)

    @property
    def num_items(self):
        return self.posterior.num_items

    @property
    def item_weights(self):
        return self.posterior.item_weights

    @property
    def chains(self):
        return self.posterior.chains

    def item(self, index):
        return self._new(
            self._chosen(self.posterior.item(index)), fold_in(self.key, index)
        )

    def notes(self):
        return self.posterior.notes()

    def _chosen(self, drawn: PyTree) -> PyTree:
        return _with_rows(drawn, self.effects, lambda mean: mean[self.seen])

    def _new(self, drawn: PyTree, key: PRNGKeyArray) -> PyTree:
        """The same, with the effects of new subjects drawn from the prior."""
        priors, names = self.prior.of_parameters(drawn), list(get_parameters(drawn))

        def redrawn(index: int, parameter: Any) -> Any:
            if names[index] not in self.effects:
                return parameter
            mean, own = parameter.mean, fold_in(key, index)
            made = priors[names[index]].sample(own, mean)
            shape = (len(self.seen),) + (1,) * (mean.ndim - 1)
            is_new = jnp.reshape(jnp.asarray(self.seen) < 0, shape)
            return replace_mean(parameter, jnp.where(is_new, made, mean))

        return map_parameters(redrawn, drawn)


def _with_rows(model: PyTree, effects: tuple[str, ...], change: Any) -> PyTree:
    names = list(get_parameters(model))

    def changed(index: int, parameter: Any) -> Any:
        if names[index] not in effects:
            return parameter
        return replace_mean(parameter, change(parameter.mean))

    return map_parameters(changed, model)
