"""Many subjects, each with effects of its own around those of the population."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._check import near_matches
from .._compute import fold_in, full_precision
from .._model import (
    check_model,
    get_parameters,
    has_values,
    map_parameters,
    ravel_all,
    replace_mean,
)
from .._prior import Prior
from .base import AbstractProblem, Outcome
from .problem import Problem
from .stack import check_subject, stack_subjects, unstack_subject
from .subject import Subject
from .tangent import Tangent, slopes_of


class Population(AbstractProblem):
    """The same problem for many subjects, each with effects of its own.

    A model of a population has parameters that all subjects share, and effects: those
    with a leading axis of subjects, whose prior depends on what is shared. For one
    subject the model has that subject's row of the effects.

    Args:
        problem_of: From a `Subject` to the `Problem` of it, without a prior: a function
            that JAX traces once for all of them. Those with fewer observations than
            others are filled up, which counts for nothing.
        subjects: As many as the effects have rows, in their order: `read_events` reads
            them from a table.
        prior: The `Prior` of the whole model. That of the effects may depend on other
            parameters, `Normal(lambda m: m.typical.value, lambda m: m.between.value)`.
        effects: The name of the parameter that has a row for each subject, as
            `get_parameters` spells it, or several names.

    Attributes:
        subjects: All of them in one, whose arrays have a leading axis of subjects.
        names: Of the subjects, in their order.
        other_ts: Times in place of each subject's own, as `at` sets them, or `None`.
        slopes: The tangents, as `linearised` sets them, or `None`.
        in_turn: Whether subjects are solved one after the other.
        has_data: Whether the observations of subjects count: not where others are
            foreseen.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there is no subject, names repeat, subjects differ in their
            covariates or in what is observed, or `problem_of` fails for one; with its
            name. When called, if effects have not a row for each subject.

    Example:
        ```python
        class Decay(bjm.Module):
            typical: bjm.AbstractParameter  # log rate
            between: bjm.AbstractParameter
            effects: bjm.AbstractParameter  # log rate of each subject

            def __call__(self, t, y, args):
                return -jnp.exp(self.effects.value) * y

        def problem_of(subject):
            return bjm.Problem(
                bjm.Solve(subject.ts, t0=0.0, y0=1.0, jumps=subject.doses),
                bjm.likelihoods.NormalLikelihood(0.1),
                subject.observations,
                prior=None,
            )

        normal = bjm.priors.Normal
        prior = {
            "typical": normal(0.0, 1.0),
            "between": bjm.priors.HalfNormal(1.0),
            "effects": normal(lambda m: m.typical.value, lambda m: m.between.value),
        }
        subjects = [
            bjm.Subject([1.0, 2.0], [0.4, 0.2], name="a"),
            bjm.Subject([0.5], [0.7], name="b"),
        ]
        population = bjm.Population(
            problem_of, subjects, prior=bjm.Prior(prior), effects="effects"
        )
        model = Decay(
            typical=bjm.make_parameter(0.0),
            between=bjm.make_parameter(0.5, support="positive"),
            effects=bjm.make_parameter([0.0, 0.0]),
        )
        population(model)  # 1.04
        ```
    """

    problem_of: Callable
    subjects: Subject
    prior: Prior
    effects: tuple[str, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    other_ts: Any
    slopes: Any
    in_turn: bool
    has_data: bool

    def __init__(
        self,
        problem_of: Any,
        subjects: Any,
        *,
        prior: Any,
        effects: str | Sequence[str],
    ):
        if not callable(problem_of):
            raise TypeError(
                "`problem_of` must be a function from a `Subject` to its `Problem`, "
                f"but is a {type(problem_of).__name__}."
            )
        if not isinstance(prior, Prior):
            raise TypeError(
                "`prior` must be a `Prior`, with a rule for the effects, but is a "
                f"{type(prior).__name__}."
            )
        self.problem_of, self.prior = problem_of, prior
        self.effects = (effects,) if isinstance(effects, str) else tuple(effects)
        self.subjects, self.names = stack_subjects(subjects)
        self.other_ts, self.slopes, self.in_turn = None, None, False
        self.has_data = True
        if not self.effects:
            raise ValueError("`effects` must name at least one parameter.")
        if len(set(self.effects)) < len(self.effects):
            raise ValueError(f"`effects` names one twice: {self.effects}.")
        for subject, name in zip(subjects, self.names, strict=True):
            self._of_name(name, lambda own=subject: self._checked(own))

    @property
    def is_population(self):
        return True

    @property
    def observations(self):
        """Those of each subject in a row, NaN behind the last of a shorter one."""
        return self._stacked(lambda problem: problem.observations, np.nan)

    @property
    def counted(self):
        if self.has_data:
            return self._stacked(_counted, False)
        own = np.asarray(self.subjects.mask)
        return None if self.other_ts is not None or own.all() else own

    @property
    def ts(self):
        """Those of each subject in a row, the last again behind it of a shorter one."""
        found = self._stacked(lambda problem: problem.ts, None)
        return np.asarray(self.subjects.ts) if found is None else found

    def outcome(self, drawn: PyTree, key: PRNGKeyArray | None = None) -> Outcome:
        check_model("A population", drawn)
        rows = self._rows(drawn)
        keys = None if key is None else fold_in(key, np.arange(len(self.names)))
        own = (self.subjects, self.slopes, rows, keys)
        try:
            return _for_each(_outcome_of, own, (self, drawn), self.in_turn)
        except (TypeError, ValueError):
            self.explain(drawn)
            raise

    def at(self, ts: Any) -> "Population":
        return replace_fields(self, other_ts=ts, slopes=None, has_data=False)

    def of_subjects(self, subjects: Any) -> tuple["Population", list[int]]:
        if isinstance(subjects, str):
            if subjects != "new":
                raise ValueError(
                    "`subjects` must be a list of `Subject`s, or 'new' for others like "
                    f"those of the data, but is {subjects!r}."
                )
            return self, [-1] * len(self.names)
        trailing, named, seen = self.subjects.observations.shape[2:], [], []
        for place, one in enumerate(subjects, start=1):
            check_subject(one)
            known = one.name in self.names
            seen.append(self.names.index(one.name) if known else -1)
            named.append(
                Subject(
                    one.ts,
                    np.zeros((*one.ts.shape, *trailing)),  # which do not count
                    doses=one.doses,
                    covariates=one.covariates,
                    name=one.name or f"new {place}",
                )
            )
        found = Population(
            self.problem_of, named, prior=self.prior, effects=self.effects
        )
        return replace_fields(found, has_data=False), seen

    def linearised(self, model: PyTree) -> "Population":
        """The same, with what is simulated of each subject made linear around a model.

        By that subject's effects and by all that is shared.

        Args:
            model: Its means are where the tangents touch. May be traced: where a solve
                fails, so do the tangent's.
        """
        check_model("A population", model)
        own = (self.subjects, self._rows(model))
        slopes = _for_each(_slopes_of, own, (self, model), self.in_turn)
        return replace_fields(self, slopes=slopes)

    def one_by_one(self) -> "Population":
        """The same, whose subjects are solved one after the other.

        On a CPU that is faster where `jax.vmap` makes many lanes of each: they wait for
        the slowest of one subject alone.
        """
        return replace_fields(self, in_turn=True)

    def check(self, model: PyTree) -> None:
        check_model("A population", model)
        names = get_parameters(model)
        for name in self.effects:
            if name not in names:
                raise ValueError(
                    f"`effects` has {name!r}, but the model has no parameter of that "
                    f"name. Near matches: {near_matches(name, names)}."
                )
        for name, problem, own in self._each(model):
            self._of_name(name, lambda: problem.check(own))  # noqa: B023

    def explain(self, model: PyTree) -> None:
        """Raise what is wrong with one subject, where what is traced for all fails.

        Args:
            model: A model.

        Raises:
            ValueError: Of the first subject whose problem fails, with its name.
        """
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self.subjects)):
            return  # which of them it is cannot be seen from inside a program
        for name, problem, own in self._each(model):
            self._of_name(
                name,
                lambda: jax.eval_shape(lambda: problem.outcome(own).pointwise),  # noqa: B023
            )

    def log_likelihoods(self, drawn: PyTree) -> Float[Array, " n"]:
        """The log density of the observations of each subject.

        Args:
            drawn: A drawn model.
        """
        each = jax.tree.leaves(self.pointwise(drawn))
        return jnp.sum(jax.vmap(ravel_all)(each), axis=1)

    @full_precision
    def log_priors_of_effects(self, drawn: PyTree) -> Float[Array, " n"]:
        """The log prior density of the effects of each subject, given the rest.

        Args:
            drawn: A drawn model.
        """
        found, parameters = self.prior.of_parameters(drawn), get_parameters(drawn)
        each = [found[name].log_density(parameters[name].mean) for name in self.effects]
        return jnp.sum(jax.vmap(ravel_all)(each), axis=1)

    @full_precision
    def log_prior_of_rest(self, drawn: PyTree) -> Float[Array, ""]:
        """The log prior density of what all subjects share.

        Args:
            drawn: A drawn model.
        """
        found, parameters = self.prior.of_parameters(drawn), get_parameters(drawn)
        each = [
            prior.log_density(parameters[name].mean)
            for name, prior in found.items()
            if name not in self.effects
        ]
        return jnp.sum(ravel_all(each))

    def __str__(self) -> str:
        """How many subjects and observations, their effects, and the first problem."""
        if not has_values(self):
            return repr(self)
        first = self.problem_of(unstack_subject(self.subjects, 0))
        return (
            f"Population: {len(self.names)} subjects with "
            f"{int(np.sum(self.subjects.mask))} times of observation, effects "
            f"{', '.join(self.effects)}; of the first, {self.names[0]}:\n{first}"
        )

    def in_forward_mode(self) -> "Population":
        """The same: each subject has few unknowns, and tangents are taken forwards."""
        return self

    def _rows(self, drawn: PyTree) -> dict[str, Array]:
        """The effects by name, each with a leading axis of subjects."""
        parameters, n = get_parameters(drawn), len(self.names)
        for name in self.effects:
            shape = parameters[name].mean.shape
            if shape[:1] != (n,):
                raise ValueError(
                    f"`{name}` must have a row for each of {n} subjects, but has shape "
                    f"{shape}."
                )
        return {name: parameters[name].mean for name in self.effects}

    def _with_rows(self, drawn: PyTree, rows: dict[str, Array]) -> PyTree:
        """The model of one subject."""
        names = list(get_parameters(drawn))

        def own(index, parameter):
            row = rows.get(names[index])
            return parameter if row is None else replace_mean(parameter, row)

        return map_parameters(own, drawn)

    def _problem(self, subject: Subject) -> Problem:
        """The problem of a subject that may be filled up, or at other times."""
        problem = self._foreseen(self.problem_of(subject))
        return problem if self.other_ts is not None else problem.counting(subject.mask)

    def _foreseen(self, problem: Problem) -> Problem:
        """At other times, or without data, if these are asked for."""
        if self.other_ts is not None:
            return problem.at(self.other_ts)
        return problem if self.has_data else problem.without_data()

    def _stacked(self, part: Callable[[Problem], Any], filling: Any) -> Any:
        """A part of each subject's problem, filled up and stacked."""
        found = []
        for index in range(len(self.names)):
            problem = self.problem_of(unstack_subject(self.subjects, index))
            found.append(part(self._foreseen(problem)))
        return jax.tree.map(lambda *leaves: _in_rows(leaves, filling), *found)

    def _checked(self, subject: Subject) -> None:
        if not np.isfinite(subject.observations).any():
            raise ValueError(
                "It has no observations. Leave it out, and foresee it with "
                "`predict(..., subjects=)`."
            )
        try:
            problem = self.problem_of(subject)
        except KeyError as error:
            raise ValueError(
                f"`problem_of` asks for {error}, which it has not. Its covariates are "
                f"{sorted(subject.covariates)}."
            ) from error
        if not isinstance(problem, Problem):
            raise TypeError(
                "`problem_of` must return a `Problem`, but returned a "
                f"{type(problem).__name__}."
            )
        if problem.prior is not None:
            raise ValueError(
                "`problem_of` must leave the prior out, `prior=None`: that of the "
                "population counts once for all."
            )

    def _each(self, model: PyTree) -> Iterator[tuple[str, Problem, PyTree]]:
        """The name, the problem and the model of each subject."""
        rows = self._rows(model)
        for index, name in enumerate(self.names):
            own = self._with_rows(model, {name: x[index] for name, x in rows.items()})
            yield name, self.problem_of(unstack_subject(self.subjects, index)), own

    def _of_name(self, name: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except TypeError as error:
            raise TypeError(f"Subject {name}: {error}") from error
        except ValueError as error:
            raise ValueError(f"Subject {name}: {error}") from error


def _outcome_of(subject, slopes, rows, key, population, drawn):
    """What follows for one subject."""
    own = population._with_rows(drawn, rows)
    problem = population._problem(subject)
    if slopes is not None:
        value, by_entries, centre = slopes
        tangent = Tangent(value, by_entries, centre, problem.simulate, own)
        problem = replace(problem, simulate=tangent)
    return problem.outcome(own, key)


def _slopes_of(subject, rows, population, model):
    """What a tangent needs of one subject."""
    problem = population._problem(subject).in_forward_mode()
    return slopes_of(problem.simulate, population._with_rows(model, rows))


@eqx.filter_jit
def _for_each(fn: Callable, own: tuple, shared: tuple, in_turn: bool) -> Any:
    """A function of one subject's own and of what is shared, for all of them."""
    arrays, static = eqx.partition(own, eqx.is_array)
    rest: list[Any] = []

    def of_one(arrays):
        found = fn(*eqx.combine(arrays, static), *shared)
        # What is no array is the same for all of them.
        found, other = eqx.partition(found, eqx.is_array)
        rest[:] = [other]
        return found

    found = jax.lax.map(of_one, arrays) if in_turn else jax.vmap(of_one)(arrays)
    return eqx.combine(found, rest[0])


def _counted(problem: Problem) -> Any:
    """Which observations count, also where all of a subject do."""
    if problem.counted is not None or problem.observations is None:
        return problem.counted
    return jax.tree.map(lambda data: np.ones(data.shape, bool), problem.observations)


def _in_rows(parts: Sequence[np.ndarray], filling: Any) -> np.ndarray:
    """Filled up with a value, or for `None` with the last there is."""
    most = max(len(part) for part in parts)
    rows = []
    for part in map(np.asarray, parts):
        behind = [(0, most - len(part)), *[(0, 0)] * (part.ndim - 1)]
        if filling is None:
            rows.append(np.pad(part, behind, mode="edge"))
        else:
            rows.append(np.pad(part, behind, constant_values=filling))
    return np.stack(rows)


def replace_fields(population: Population, **fields: Any) -> Population:
    """The same with other fields, past the checks of its making."""
    names = list(fields)
    return eqx.tree_at(
        lambda node: [getattr(node, name) for name in names],
        population,
        list(fields.values()),
        is_leaf=lambda node: node is None,
    )
