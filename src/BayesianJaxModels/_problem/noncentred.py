"""A problem in standard deviations from what the prior says."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from .._compute import standard_normal
from .._model import get_parameters, map_parameters, replace_mean
from .._prior import AbstractPrior, Prior
from .base import AbstractProblem, Outcome


class Noncentred(AbstractProblem):
    """The same problem, some of whose parameters are counted from their prior.

    Its drawn models hold standard normal numbers in their place.
    """

    problem: AbstractProblem
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, problem: AbstractProblem, names: tuple[str, ...]):
        self.problem, self.names = problem, names

    @property
    def prior(self):
        """Of the coordinates."""
        prior = self.problem.prior
        rules = dict(zip(prior.rules, prior.distributions, strict=True))
        standard = dict.fromkeys(self.names, StandardNormal())
        return Prior(rules | standard, prior.default)

    @property
    def observations(self):
        return self.problem.observations

    @property
    def ts(self):
        return self.problem.ts

    @property
    def counted(self):
        return self.problem.counted

    def natural(self, drawn: PyTree) -> PyTree:
        """The model whose parameters are in their own units.

        Args:
            drawn: A model with standard normal numbers in their place.
        """
        return self._moved(drawn, lambda prior, z: prior.from_standard(z))

    def coordinates(self, drawn: PyTree) -> PyTree:
        """The inverse of `natural`.

        Args:
            drawn: A model whose parameters are in their own units.
        """
        return self._moved(drawn, lambda prior, mean: prior.to_standard(mean))

    def outcome(self, drawn: PyTree, key: PRNGKeyArray | None = None) -> Outcome:
        return self.problem.outcome(self.natural(drawn), key)

    def at(self, ts: Any) -> "Noncentred":
        return Noncentred(self.problem.at(ts), self.names)

    def in_forward_mode(self) -> "Noncentred":
        return Noncentred(self.problem.in_forward_mode(), self.names)

    def check(self, model: PyTree) -> None:
        self.problem.check(self.natural(model))

    def _moved(self, drawn: PyTree, move: Any) -> PyTree:
        order, found = list(get_parameters(drawn)), self.problem.prior

        def moved(index, parameter):
            name = order[index]
            if name not in self.names:
                return parameter
            return replace_mean(parameter, move(priors[name], parameter.mean))

        priors = found.of_parameters(drawn)
        return map_parameters(moved, drawn)


class StandardNormal(AbstractPrior):
    """Of what is counted in standard deviations, whatever the support of its value."""

    def on(self, support):
        return self

    def log_density(self, value):
        return -(value**2 + jnp.log(2 * jnp.pi).astype(value.dtype)) / 2

    def sample(self, key, value):
        return standard_normal(key, value.shape, value.dtype)


def noncentred(problem: Any, *names: str) -> Noncentred:
    """A problem in coordinates where widths between subjects may go to zero.

    Parameters whose prior depends on others, the effects of subjects, are counted in
    standard deviations from its mean. Where each subject has few observations, chains
    of `nuts` move freely there and not otherwise (Papaspiliopoulos, Roberts & Skold
    2007, Statistical Science 22(1)); where each has many, they move better without.

    Args:
        problem: A `Problem`, a `Population` or a sum of them, with a `Prior`.
        names: The parameters, as `get_parameters` spells them. Their priors must be
            `Normal` or `LogNormal`, and not depend on each other.

    Returns:
        A problem for `nuts`, which takes starts and returns draws in the units of the
        parameters. Called with a drawn model it takes one of standard normal numbers in
        their place, and `natural(drawn)` is the model that belongs to it.

    Raises:
        TypeError: If `problem` is no problem with a `Prior`.
        ValueError: If there is no name, or no rule of the prior for one.

    Example:
        ```python
        class Schools(bjm.Module):
            mean: bjm.AbstractParameter
            between: bjm.AbstractParameter
            effects: bjm.AbstractParameter

        around = bjm.priors.Normal(lambda m: m.mean.value, lambda m: m.between.value)
        prior = {"between": bjm.priors.HalfNormal(5.0), "effects": around}
        problem = bjm.Problem(
            lambda m: m.effects.value,
            bjm.likelihoods.NormalLikelihood(10.0),
            np.array([28.0, 8.0, -3.0]),
            prior=bjm.Prior(prior, default=bjm.priors.Normal(0.0, 5.0)),
        )
        model = Schools(
            mean=bjm.make_parameter(1.0),
            between=bjm.make_parameter(2.0, support="positive"),
            effects=bjm.make_parameter([1.0, 1.0, 3.0]),
        )
        counted = bjm.noncentred(problem, "effects")
        counted.coordinates(model).effects.mean  # [0, 0, 1]
        counted(counted.coordinates(model)) - problem(model)  # 2.08: log(2**3)
        ```
    """
    if not isinstance(problem, AbstractProblem) or not isinstance(problem.prior, Prior):
        raise TypeError(
            "`problem` must be a `Problem` or `Population` with a `Prior`, but is a "
            f"{type(problem).__name__}."
        )
    if not names:
        raise ValueError(
            "Name at least one parameter: `noncentred(problem, 'effects')`."
        )
    return Noncentred(problem, names)
