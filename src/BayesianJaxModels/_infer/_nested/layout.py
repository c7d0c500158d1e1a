"""Which entries of a model all subjects share, and which are the effects of each."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ..._model import free_means, get_parameters, map_parameters, replace_free_means
from ..._parameter import DeterministicParameter
from ..._problem import Population


class Layout(eqx.Module):
    """How a model of a population is taken apart and put together.

    Attributes:
        model: The model.
        shared: The places in `free_means(model)` of what all subjects share, `(p,)`.
        effects: Those of the effects of each subject, `(n, q)`.
    """

    model: PyTree
    shared: Int[np.ndarray | Array, " p"]
    effects: Int[np.ndarray | Array, "n q"]

    @classmethod
    def of(cls, population: Population, model: PyTree) -> "Layout":
        """The layout of a model.

        Raises:
            ValueError: If the effects are known, or nothing but effects is not.
        """
        shared, effects, first = [], [], 0
        for name, parameter in get_parameters(model).items():
            if parameter.is_known:
                if name in population.effects:
                    raise ValueError(
                        f"The effects `{name}` are a `DeterministicParameter`, which "
                        "is taken as known. Make them with `make_parameter(values)`."
                    )
                continue
            size = parameter.mean.size
            places = np.arange(first, first + size)
            first += size
            if name in population.effects:
                effects.append(places.reshape(len(population.names), -1))
            else:
                shared.append(places)
        if not shared:
            raise ValueError(
                "The model has nothing but effects that is not known. Take away their "
                "`Population`: the subjects are problems of their own."
            )
        return cls(model, np.concatenate(shared), np.concatenate(effects, axis=1))

    @property
    def rest(self) -> PyTree:
        """The model with its effects as known: what is left is what all share."""
        places = set(np.asarray(self.effects).ravel().tolist())
        first = 0

        def known(_, parameter):
            nonlocal first
            if parameter.is_known:
                return parameter
            own, first = first, first + parameter.mean.size
            if own not in places:
                return parameter
            return DeterministicParameter(parameter.mean, support=parameter.support)

        return map_parameters(known, self.model)

    def whole(self, shared: Float[Array, " p"], effects: Float[Array, "n q"]) -> PyTree:
        """The drawn model of both."""
        size = self.shared.size + self.effects.size
        vector = jnp.zeros(size, shared.dtype)
        vector = vector.at[self.shared].set(shared)
        vector = vector.at[self.effects].set(effects)
        return replace_free_means(self.model, vector)

    def effects_of(self, model: PyTree) -> Float[Array, "n q"]:
        """The effects of a model, a row for each subject."""
        return free_means(model)[self.effects]
