"""The sum of problems over one model."""

from typing import Any

import equinox as eqx
from jaxtyping import PRNGKeyArray, PyTree

from .._compute import fold_in
from .base import AbstractProblem, Outcome


class TotalProblem(AbstractProblem):
    """Several problems over the same model, whose one prior counts once.

    Observations and all that has their structure are tuples with a part for each term,
    and so are the states.
    """

    terms: tuple[AbstractProblem, ...]

    def __init__(self, terms: tuple[AbstractProblem, ...]):
        self.terms = terms
        priors = [term.prior for term in terms if term.prior is not None]
        if any(not _are_one(prior, priors[0]) for prior in priors[1:]):
            raise ValueError(
                "Problems that are added must have one prior, which counts once, but "
                "theirs differ. Give all of them the same `Prior`, or all but one "
                "`prior=None`."
            )

    @property
    def prior(self):
        return next((t.prior for t in self.terms if t.prior is not None), None)

    @property
    def observations(self):
        return tuple(term.observations for term in self.terms)

    @property
    def ts(self):
        return tuple(term.ts for term in self.terms)

    @property
    def counted(self):
        return tuple(term.counted for term in self.terms)

    def outcome(self, drawn: PyTree, key: PRNGKeyArray | None = None) -> Outcome:
        outcomes = [
            term.outcome(drawn, None if key is None else fold_in(key, place))
            for place, term in enumerate(self.terms)
        ]
        return Outcome(
            tuple(one.states for one in outcomes),
            tuple(one.observables for one in outcomes),
            tuple(one.pointwise for one in outcomes),
            None if key is None else tuple(one.observations for one in outcomes),
        )

    def __str__(self) -> str:
        return "\n+ ".join(str(term) for term in self.terms)

    def at(self, ts: Any) -> "TotalProblem":
        return TotalProblem(tuple(term.at(ts) for term in self.terms))

    def in_forward_mode(self) -> "TotalProblem":
        return TotalProblem(tuple(term.in_forward_mode() for term in self.terms))

    def linearised(self, model: PyTree) -> "TotalProblem":
        return TotalProblem(tuple(term.linearised(model) for term in self.terms))

    def check(self, model: PyTree) -> None:
        for term in self.terms:
            term.check(model)


def total(problems: Any) -> TotalProblem:
    """The sum of problems, of which some may be sums."""
    terms = []
    for problem in problems:
        terms += problem.terms if isinstance(problem, TotalProblem) else [problem]
    return TotalProblem(tuple(terms))


def _are_one(prior: Any, other: Any) -> bool:
    return prior is other or bool(eqx.tree_equal(prior, other))
