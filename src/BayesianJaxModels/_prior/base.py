"""What a prior of entries is, and numbers of it that follow from the model."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import Var
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .. import _check
from .._check import as_float_array
from .._parameter import AbstractParameter, Interval


class Given(eqx.Module):
    """A number of a prior that follows from the model that it is the prior of.

    Attributes:
        name: Of the field.
        function: From a drawn model to the number.
        is_width: Whether it is a positive number, such as a standard deviation.
    """

    name: str = eqx.field(static=True)
    function: Callable
    is_width: bool = eqx.field(static=True, default=False)

    def of(self, model: PyTree) -> Float[Array, "..."]:
        """The number for a drawn model."""
        return as_float_array(self.function(model), self.name)


def is_given(node: Any) -> bool:
    """Whether a node of a prior is such a number."""
    return isinstance(node, Given)


def as_float(name: str, value: Any) -> Any:
    """A float array, or what follows from a model."""
    return Given(name, value) if callable(value) else as_float_array(value, name)


def as_positive(name: str, value: Any) -> Any:
    """Positive numbers, or what follows from a model.

    Raises:
        ValueError: If an entry is known not to be positive.
    """
    if callable(value):
        return Given(name, value, is_width=True)
    return _check.as_positive(name, value)


def used_of(function: Callable, inputs: dict[str, Array]) -> set[str]:
    """The names of the inputs that what a function returns may depend on.

    Args:
        function: Of the inputs in the order of their names.
        inputs: Arrays by name.
    """
    names = sorted(inputs)
    jaxpr = jax.make_jaxpr(function)(*(inputs[name] for name in names)).jaxpr
    needed = set(filter(_is_variable, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(filter(_is_variable, equation.invars))
    pairs = zip(names, jaxpr.invars, strict=True)
    return {name for name, variable in pairs if variable in needed}


def _is_variable(atom: Any) -> bool:
    return isinstance(atom, Var)


class AbstractPrior(eqx.Module):
    """A distribution of independent entries, the prior of one parameter.

    It is about `value` of a parameter, inside its `support` if it has one. Those of the
    package take numbers, or arrays that broadcast to the shape of the parameter, in its
    unit; or functions of the drawn model that return them, where a prior depends on
    other parameters: `Normal(lambda m: m.typical.value, lambda m: m.between.value)` of
    the effects of many subjects. A subclass of your own needs `log_density` and
    `sample`; one with `ends` may not be given to a parameter whose support it exceeds.

    Example:
        ```python
        class Uniform(bjm.priors.AbstractPrior):
            def log_density(self, value):
                return jnp.where((value >= 0) & (value <= 1), 0.0, -jnp.inf)

            def sample(self, key, value):
                return jax.random.uniform(key, value.shape, value.dtype)

        shares = bjm.make_parameter([0.2, 0.7])
        bjm.log_prior(shares, bjm.Prior(default=Uniform()))  # 0.0
        ```
    """

    @abstractmethod
    def log_density(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The log density of every entry; minus infinity outside the support.

        Args:
            value: Of a parameter.
        """

    def given(self, model: PyTree) -> "AbstractPrior":
        """The distribution for a drawn model, where it depends on other parameters.

        Args:
            model: A drawn model.
        """
        return jax.tree.map(
            lambda node: node.of(model) if is_given(node) else node,
            self,
            is_leaf=is_given,
        )

    @property
    def refers(self) -> bool:
        """Whether it depends on other parameters."""
        return any(map(is_given, jax.tree.leaves(self, is_leaf=is_given)))

    @property
    def width_refers(self) -> bool:
        """Whether how wide it is depends on other parameters."""
        leaves = jax.tree.leaves(self, is_leaf=is_given)
        return any(leaf.is_width for leaf in filter(is_given, leaves))

    @property
    def ends(self) -> tuple[Any, Any] | None:
        """The ends between which the density is not zero; `None` if not known."""
        return None

    def on(self, support: Interval) -> "AbstractPrior":
        """The distribution of the unconstrained number that stands for a value.

        Args:
            support: Of the parameter whose value has this distribution.
        """
        return OnSupport(self, support)

    def from_standard(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The values that standard normal numbers stand for.

        Args:
            z: Of the shape of the parameter.

        Raises:
            NotImplementedError: If this distribution does not know them.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} cannot be counted in standard deviations. Take a "
            "`Normal` or a `LogNormal`."
        )

    def to_standard(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The inverse of `from_standard`.

        Args:
            value: Of a parameter.

        Raises:
            NotImplementedError: If this distribution does not know it.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} cannot be counted in standard deviations. Take a "
            "`Normal` or a `LogNormal`."
        )

    def kl_from(self, q: AbstractParameter) -> Float[Array, ""]:
        """`KL(q || prior)`, in nats.

        Args:
            q: A parameter with widths.

        Raises:
            NotImplementedError: If this distribution does not know it.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} knows no divergence from it in closed form."
        )

    def mean_log_density(
        self, mean: Float[Array, "*shape"], stdv: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """The mean of the log density over any distribution with these moments.

        Args:
            mean: The mean of each entry.
            stdv: The standard deviation of each entry.

        Raises:
            NotImplementedError: If it takes more than these moments.
        """
        raise NotImplementedError(
            f"The mean log density of a {type(self).__name__} is not known from mean "
            "and standard deviation alone. Pass `kl='sampled'`."
        )

    @abstractmethod
    def sample(
        self, key: PRNGKeyArray, value: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Draw every entry.

        Args:
            key: A JAX random key.
            value: Of a parameter: its shape and dtype are those of the draw.
        """


class OnSupport(AbstractPrior):
    """A prior of the value of a parameter, for the number that stands for it."""

    prior: AbstractPrior
    support: Interval = eqx.field(static=True)

    def log_density(self, value):
        # Where the value overflows, nothing flows back.
        is_finite = jnp.isfinite(self.support.value(value))
        value = jnp.where(is_finite, value, 0)
        density = self.prior.log_density(self.support.value(value))
        inside = is_finite & (density > -jnp.inf)
        return jnp.where(inside, density + self.support.log_slope(value), -jnp.inf)

    def from_standard(self, z):
        return self.support.unconstrained(self.prior.from_standard(z))

    def to_standard(self, value):
        return self.prior.to_standard(self.support.value(value))

    def sample(self, key, value):
        return self.support.unconstrained(self.prior.sample(key, value))
