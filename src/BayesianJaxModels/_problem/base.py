"""What a problem is: data and what explains them, as one log density."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._compute import full_precision
from .._model import check_model, flatten_means, ravel_all
from .._prior import Prior, log_prior


class Outcome(eqx.Module):
    """What a problem says of one drawn model, from one simulation.

    Attributes:
        states: What the simulation returned: a `Trajectory`, or what else it is.
        observables: What is observed of it, without noise: NaN where the simulation
            failed. An array, or arrays by the names of the series.
        pointwise: The log density of every observation, as `log_prob_each` of the
            likelihood gives it, in the structure of `observables`; `None` of a problem
            without observations.
        observations: Observables with noise, in the same structure; `None` if no key
            was given.
    """

    states: PyTree
    observables: PyTree
    pointwise: PyTree
    observations: PyTree = None


class AbstractProblem(eqx.Module):
    """Data, and what explains them: the log joint density of a drawn model.

    A problem is a function that every engine takes as its log density, and that knows
    its parts. Problems over the same model add: the sum has the observations of both,
    and their one prior once.

    Attributes:
        prior: The `Prior` of the model, a log prior density of a drawn model, or `None`
            for none.
        observations: The data: an array, or arrays by the names of the series.

    Example:
        ```python
        x, prior = np.linspace(0.0, 1.0, 5), bjm.Prior(default=bjm.priors.Normal())
        noise = bjm.likelihoods.NormalLikelihood(0.5)
        rising = bjm.Problem(lambda k: k.value * x, noise, 2 * x, prior=prior)
        falling = bjm.Problem(lambda k: -k.value * x, noise, -2 * x, prior=prior)
        both = rising + falling  # an `AbstractProblem` too
        slope = bjm.make_parameter(1.0)
        both.log_likelihood(slope), both.log_prior(slope)  # (-9.76, -1.42)
        ```
    """

    prior: eqx.AbstractVar[Any]
    observations: eqx.AbstractVar[PyTree]

    @abstractmethod
    def outcome(self, drawn: PyTree, key: PRNGKeyArray | None = None) -> Outcome:
        """Simulate once, and say what follows.

        Args:
            drawn: A drawn model.
            key: A JAX random key for the noise of observations; none are drawn without.
        """

    @abstractmethod
    def at(self, ts: Any) -> "AbstractProblem":
        """The same simulation at other times, without observations.

        Args:
            ts: The times.

        Raises:
            TypeError: If the simulation is of no times.
        """

    def in_forward_mode(self) -> "AbstractProblem":
        """The same, with solves whose gradients are taken forwards.

        For few unknowns that compiles in half the time and runs faster: up to a dozen
        in any case, up to some thirty where a solve is of one small system. Of many
        systems side by side, reverse mode may be the faster one from there on. Solves
        that were given an adjoint keep theirs.
        """
        return self

    def of_subjects(self, subjects: Any) -> tuple["AbstractProblem", list[int]]:
        """The same for other subjects, without observations.

        Args:
            subjects: `Subject`s; or `"new"` for others with the times, doses and
                covariates of those that were seen, whose data stay beside them.

        Returns:
            The problem of these, and the place of each among those that were seen, by
            its name; -1 of a new one.

        Raises:
            NotImplementedError: If it is not a `Population`.
        """
        raise NotImplementedError(
            f"`subjects` are those of a `Population`, but this is a "
            f"{type(self).__name__}."
        )

    def linearised(self, model: PyTree) -> "AbstractProblem":
        """The same, with what is simulated made linear around a model.

        Observations scatter around it as before. So the curvature of its log density is
        that of a generalised Gauss-Newton step (Schraudolph 2002, Neural Computation
        14(7)): where observables are normal with a noise that is known, it is positive
        whatever a network does, and with an unknown noise near a mode; and no second
        derivative goes through a solve. It holds the derivatives of all that is
        simulated by all entries of the model.

        Args:
            model: Its means are where the tangent touches.

        Raises:
            NotImplementedError: If a problem of your own does not say how.
            ValueError: If a solve fails there.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no method `linearised(model)`."
        )

    @abstractmethod
    def check(self, model: PyTree) -> None:
        """Hold observations to what the likelihood can have, by their values.

        Under `jax.jit` such observations have a log density of minus infinity.

        Args:
            model: A model, drawn or not.

        Raises:
            ValueError: If an observation is outside of the support of its likelihood.
        """

    @property
    def mode_is_worthless(self) -> bool:
        """Whether its density runs away, with a width of its prior near zero."""
        return isinstance(self.prior, Prior) and self.prior.width_refers

    @property
    def is_population(self) -> bool:
        """Whether it is of many subjects with effects of their own."""
        return False

    @property
    def ts(self) -> PyTree:
        """The times of the simulation, or `None` of one that does not say."""
        return None

    @property
    def counted(self) -> PyTree:
        """Which observations count, in their structure, or `None` where all do."""
        return None

    def log_prior(self, drawn: PyTree) -> Float[Array, ""]:
        """The log prior density; 0 without a prior.

        Args:
            drawn: A drawn model.
        """
        check_model("log_prior", drawn)
        if self.prior is None:
            return jnp.zeros((), flatten_means(drawn).dtype)
        if isinstance(self.prior, Prior):
            return log_prior(drawn, self.prior)
        return self.prior(drawn)

    @full_precision
    def pointwise(self, drawn: PyTree) -> PyTree:
        """The log density of every observation, 0 where a mask leaves it out.

        Minus infinity if the simulation failed.

        Args:
            drawn: A drawn model.
        """
        check_model("A problem", drawn)
        each = self.outcome(drawn).pointwise
        if any(part is None for part in jax.tree.leaves(each, is_leaf=_is_none)):
            raise ValueError(
                "This problem has no observations, so that nothing has a likelihood: "
                "`at(ts)` leaves them out."
            )
        return each

    @full_precision
    def log_likelihood(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density of all observations.

        Minus infinity, with gradients of zero, if the simulation failed.

        Args:
            drawn: A drawn model.
        """
        return jnp.sum(ravel_all(jax.tree.leaves(self.pointwise(drawn))))

    @full_precision
    def simulate_observations(self, key: PRNGKeyArray, drawn: PyTree) -> PyTree:
        """Draw observations as they might have been: NaN if the simulation failed.

        Args:
            key: A JAX random key.
            drawn: A drawn model.
        """
        check_model("A problem", drawn)
        return self.outcome(drawn, key).observations

    @full_precision
    def __call__(self, drawn: PyTree) -> Float[Array, ""]:
        """The log joint density of observations and parameters, in nats.

        Args:
            drawn: A drawn model.
        """
        return self.log_likelihood(drawn) + self.log_prior(drawn)

    def __add__(self, other: "AbstractProblem") -> "AbstractProblem":
        from .total import total  # which imports this file

        if not isinstance(other, AbstractProblem):
            return NotImplemented
        return total([self, other])

    def __radd__(self, other: Any) -> "AbstractProblem":
        # `sum` begins with 0.
        return self if other == 0 else NotImplemented


def _is_none(node: Any) -> bool:
    return node is None
