"""Which parameter of a model has which prior."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._check import near_matches
from .._compute import fold_in
from .._model import (
    Model,
    check_model,
    flatten_named,
    get_parameters,
    map_parameters,
    ravel_all,
    replace_mean,
)
from .._parameter import AbstractParameter, Interval, is_parameter
from .base import AbstractPrior, used_of


class Prior(eqx.Module):
    """The prior of a whole model: a distribution for each of its parameters.

    Every parameter needs one, except a `DeterministicParameter`, which is known. In one
    half of a partition, as `freeze_params` makes it, rules for parameters of the other
    half are ignored.

    Args:
        rules: From a parameter's name (as `get_parameters` spells it), type, or a
            function `(name, parameter) -> bool` to its distribution. Names decide
            first, then the others in their order.
        default: The distribution of parameters that no rule mentions. If `None`, such a
            parameter is an error.

    Attributes:
        distributions: Those of the rules, in their order.

    Raises:
        TypeError: If a rule is something else, or leads to no `AbstractPrior`.

    Example:
        ```python
        class Oscillator(bjm.Module):
            log_stiffness: bjm.GaussianParameter
            start: bjm.GaussianParameter

        half = bjm.priors.HalfNormal(2.0)
        prior = bjm.Prior(
            {"log_stiffness": bjm.priors.OnNaturalScale(half, jnp.exp, jnp.log)},
            default=bjm.priors.Normal(0.0, 1.0),
        )
        model = Oscillator(bjm.make_parameter(0.0), bjm.make_parameter([1.0, 0.0]))
        bjm.log_prior(model, prior)  # -3.382
        ```
    """

    rules: tuple = eqx.field(static=True)
    distributions: tuple[AbstractPrior, ...]
    default: AbstractPrior | None

    def __init__(
        self,
        rules: Mapping[Any, Any] | None = None,
        default: AbstractPrior | None = None,
    ):
        rules = {} if rules is None else dict(rules)
        for rule, distribution in rules.items():
            if isinstance(rule, type):
                is_rule = issubclass(rule, AbstractParameter)
            else:
                is_rule = isinstance(rule, str) or callable(rule)
            if not is_rule:
                raise TypeError(
                    "A rule must be a name, a type of parameter or a function "
                    f"`(name, parameter) -> bool`, but got {rule!r}."
                )
            if not isinstance(distribution, AbstractPrior):
                raise TypeError(
                    f"The rule {rule!r} must lead to a prior such as `Normal(0, 1)`, "
                    f"but leads to {distribution!r}."
                )
        self.rules = tuple(rules)
        self.distributions = tuple(rules.values())
        self.default = default

    def of_parameters(self, model: PyTree) -> dict[str, AbstractPrior]:
        """The distribution of the `mean` of every parameter that has one, by name.

        Where a parameter has a `support`, the rule is about its `value`, and this is
        what follows for the unconstrained number.

        Args:
            model: A model with parameters.

        Raises:
            ValueError: If a name in the rules is not one of the model's, a parameter
                has no rule and there is no default, or a prior reaches beyond the
                support of its parameter; with the names.
        """
        parameters = get_parameters(model)
        return {
            name: _on_support(name, found.given(model), parameters[name].support)
            for name, found in self.as_given(model).items()
        }

    def as_given(self, model: PyTree) -> dict[str, AbstractPrior]:
        """As `of_parameters`, of the values and with what refers to other parameters.

        Args:
            model: As there.

        Raises:
            ValueError: As there, but for supports.
        """
        parameters = get_parameters(model)
        names = {name for name, node in flatten_named(model)[0] if is_parameter(node)}
        for rule in self.rules:
            if isinstance(rule, str) and rule not in names:
                near = near_matches(rule, parameters)
                raise ValueError(
                    f"The prior has a rule for {rule!r}, but the model has no "
                    f"parameter of that name. Near matches: {near}."
                )
        rules = {name: self.rule_of(name, p) for name, p in parameters.items()}
        matches = {
            name: self.default if rule is None else rule for name, rule in rules.items()
        }
        found = {name: match for name, match in matches.items() if match is not None}
        uncertain = [name for name, p in parameters.items() if not p.is_known]
        without = [name for name in uncertain if name not in found]
        if without:
            raise ValueError(
                f"The prior says nothing of the parameters {without}. Add rules for "
                "them, or a `default`."
            )
        return {name: found[name] for name in parameters if name in found}

    def refuse_references(self, verb: str) -> None:
        """Refuse what has no closed form where a prior depends on other parameters.

        Args:
            verb: What asks.

        Raises:
            NotImplementedError: If one does.
        """
        pairs = self._pairs()
        refer = [rule for rule, distribution in pairs if distribution.refers]
        if refer:
            raise NotImplementedError(
                f"{verb} has no closed form where a prior depends on other parameters, "
                f"as {refer} do. Take draws: `bjm.elbo(..., kl='sampled')`."
            )

    @property
    def width_refers(self) -> bool:
        """Whether how wide a prior is depends on other parameters."""
        return any(distribution.width_refers for _, distribution in self._pairs())

    def _pairs(self) -> list[tuple[Any, AbstractPrior]]:
        pairs = [*zip(self.rules, self.distributions, strict=True)]
        return pairs + ([] if self.default is None else [("default", self.default)])

    def rule_of(self, name: str, parameter: AbstractParameter) -> AbstractPrior | None:
        """What the rules, without the default, say of a parameter.

        Args:
            name: As in `get_parameters`.
            parameter: The parameter.
        """
        if name in self.rules:
            return self.distributions[self.rules.index(name)]
        for rule, distribution in zip(self.rules, self.distributions, strict=True):
            if isinstance(rule, type):
                matches = isinstance(parameter, rule)
            else:
                matches = not isinstance(rule, str) and rule(name, parameter)
            if matches:
                return distribution
        return None


def _on_support(
    name: str, prior: AbstractPrior, support: Interval | None
) -> AbstractPrior:
    """The prior of the unconstrained number, of one that is inside of a support."""
    if support is None:
        return prior
    ends = prior.ends
    if ends is not None and not any(isinstance(end, Tracer) for end in ends):
        low, high = (np.asarray(end) for end in ends)
        # As single precision rounds them: 0.3 is above 0.3 in double.
        least, most = support.ends
        least, most = least.astype(low.dtype), most.astype(high.dtype)
        if np.any(low < least) or np.any(high > most):
            raise ValueError(
                f"The prior of `{name}`, a {type(prior).__name__} between {low} and "
                f"{high}, reaches beyond the support of the parameter, {support}. Give "
                "it one with these ends: a `TruncatedNormal`, `HalfNormal`, "
                "`LogNormal`, `Gamma`, `Uniform` or `Beta`."
            )
    return prior.on(support)


def log_prior(drawn: PyTree, prior: Prior) -> Float[Array, ""]:
    """The log prior density of a drawn model, summed over all its parameters.

    Args:
        drawn: A drawn model: the density is taken at the `mean` of each parameter. Of
            one with a `support` the prior is about `value`, and the density is that of
            `mean`, with the logarithm of `|dvalue/dmean|` in it.
        prior: The prior of the model.

    Returns:
        One number, in nats and the dtype of the parameters; minus infinity if one of
        them is outside the support of its prior.

    Raises:
        TypeError: If `drawn` is a posterior or a fit.
        ValueError: If a parameter has no prior, a rule no parameter, or a prior's
            fields do not broadcast to its parameter.

    Example:
        ```python
        model = [bjm.make_parameter([0.5, 2.0]), bjm.make_parameter(0.1)]
        drawn = bjm.sample_all_parameters(model, jax.random.key(0))
        bjm.log_prior(drawn, bjm.Prior(default=bjm.priors.Normal(0.0, 1.0)))  # -4.89
        ```
    """
    check_model("log_prior", drawn)
    parameters = get_parameters(drawn)
    found = prior.of_parameters(drawn).items()
    densities = [p.log_density(parameters[name].mean) for name, p in found]
    return jnp.sum(ravel_all(densities))


def sample_prior(model: Model, prior: Prior, key: PRNGKeyArray) -> Model:
    """Draw every parameter of a model from the prior.

    A known parameter keeps its value, unless a rule, not the default, applies to it.

    Args:
        model: Says which parameters there are, and of which shapes.
        prior: The prior of the model.
        key: A JAX random key. The parameter with index `i` in `get_parameters` draws
            from `jax.random.fold_in(key, i)`, after those that its prior depends on.

    Returns:
        A drawn model, as `sample_all_parameters` returns one.

    Raises:
        TypeError: If `model` is a posterior or a fit.
        ValueError: As `log_prior` does, or if priors depend on each other.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0])
        prior = bjm.Prior(default=bjm.priors.LogNormal(0.0, 0.5))
        keys = jax.random.split(jax.random.key(0), 100)
        draws = jax.vmap(lambda key: bjm.sample_prior(rates, prior, key).mean)(keys)
        draws.shape  # (100, 2)
        ```
    """
    check_model("sample_prior", model)
    names, found = list(get_parameters(model)), prior.as_given(model)
    refer = {name: one for name, one in found.items() if one.refers}
    rounds = [set(found) - set(refer), *({name} for name in _in_order(refer, model))]
    for now in rounds:
        distributions = prior.of_parameters(model)

        def draw(index, parameter, now=now, distributions=distributions):
            name = names[index]
            if name not in now or (
                parameter.is_known and prior.rule_of(name, parameter) is None
            ):
                return parameter
            value = distributions[name].sample(fold_in(key, index), parameter.mean)
            return replace_mean(parameter, value)

        model = map_parameters(draw, model)
    return model


def _in_order(refer: dict[str, AbstractPrior], model: PyTree) -> list[str]:
    """Parameters whose priors depend on others, behind those that they depend on."""
    parameters = get_parameters(model)
    names, means = list(parameters), {name: parameters[name].mean for name in refer}

    def numbers(prior, *values):
        known = dict(zip(sorted(means), values, strict=True))

        def replace(index, parameter):
            return replace_mean(parameter, known.get(names[index], parameter.mean))

        given = prior.given(map_parameters(replace, model))
        return jax.tree.leaves(eqx.filter(given, eqx.is_array))

    waits = {name: used_of(partial(numbers, one), means) for name, one in refer.items()}
    order: list[str] = []
    while len(order) < len(refer):
        free = [n for n in refer if n not in order and waits[n] <= set(order)]
        if not free:
            left = [name for name in refer if name not in order]
            raise ValueError(
                f"The priors of {left} depend on each other, so that none can be drawn "
                "before the rest. Let one of them stand by itself."
            )
        order += free
    return order


def kl_to_prior(model: PyTree, prior: Prior) -> Float[Array, ""]:
    """`KL(q || prior)` of a model's distributions `q`, in closed form.

    There is one for every type of parameter against `Normal` (positive ones against
    `LogNormal`), and for Laplacian parameters against `Laplace`. A
    `DeterministicParameter` counts with minus its log prior, so that
    `-kl_to_prior(model, prior)` is always the mean over draws of `log_prior` plus
    `entropy(model)`.

    Args:
        model: A model with parameters.
        prior: Its prior.

    Returns:
        One number, in nats.

    Raises:
        TypeError: If `model` is a posterior or a fit. For a
            posterior take `elbo(..., kl="analytic").kl`.
        ValueError: As `log_prior` does.
        NotImplementedError: If a pair of parameter and prior has no closed form.

    Example:
        ```python
        rates = bjm.make_parameter([0.0, 1.0], init_raw_stdv=0.5)  # sd 0.25
        bjm.kl_to_prior(rates, bjm.Prior(default=bjm.priors.Normal(0.0, 1.0)))  # 2.334
        ```
    """
    check_model("kl_to_prior", model)
    prior.refuse_references("`kl_to_prior`")
    parameters, divergences = get_parameters(model), []
    for name, of_one in prior.of_parameters(model).items():
        q = parameters[name]
        try:
            one = -of_one.log_density(q.mean) if q.is_known else of_one.kl_from(q)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"KL({type(q).__name__} || {type(of_one).__name__}) of `{name}` has no "
                "closed form here. Estimate it: `log_prior(drawn, prior) + "
                "entropy(model)` averages to minus the divergence over drawn models."
            ) from error
        divergences.append(one)
    return jnp.sum(ravel_all(divergences))
