"""What `infer` returns: a posterior, and how it came about."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._model import AbstractEstimate
from ..._posterior import (
    UNCHECKED,
    AbstractPosterior,
    DrawsPosterior,
    posterior_table,
)

LINE = 88
KEYS = "keys = jax.random.split(key, 4)"


@dataclass(frozen=True)
class Step:
    """One step of `infer`.

    Attributes:
        call: What to write to do the same, with `keys = jax.random.split(key, 4)`.
        seconds: How long it took, compilation included.
        said: What came out, in a line.
        complaints: What its checks found wrong; empty where nothing was found.
    """

    call: str
    seconds: float
    said: str
    complaints: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"{self.seconds:.1f} s: {self.said}"]
        said += [f"against it: {complaint}" for complaint in self.complaints]
        lines = [textwrap.fill(line, 84, subsequent_indent="  ") for line in said]
        return "\n".join([self.call, textwrap.indent("\n".join(lines), "    # ")])


class Inference(AbstractEstimate):
    """A posterior, what was tried for it, and what its checks say.

    Whatever takes a posterior takes it.

    Attributes:
        posterior: The posterior of the engine that was used last.
        steps: What was done, a `Step` each, with the call that does the same.
        complaints: What speaks against the posterior: empty where no check found a
            fault.

    Example:
        ```python
        slope = bjm.make_parameter(1.0)
        x = np.linspace(0.0, 1.0, 20)
        problem = bjm.Problem(
            lambda drawn: drawn.value * x,
            bjm.likelihoods.NormalLikelihood(0.1),
            2 * x,
            prior=bjm.Prior(default=bjm.priors.Normal(0.0, 5.0)),
        )
        found = bjm.infer(problem, slope, key=jax.random.key(0))
        found.trustworthy, len(found.steps)  # (True, 3)
        bjm.flatten_means(found)  # [2.00]
        ```
    """

    posterior: AbstractPosterior
    steps: tuple[Step, ...] = eqx.field(static=True)
    complaints: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        posterior: AbstractPosterior,
        steps: Sequence[Step],
        complaints: Sequence[str],
    ):
        self.posterior = posterior
        self.steps, self.complaints = tuple(steps), tuple(complaints)

    @property
    def model(self):
        """The model whose parameters have this posterior."""
        return self.posterior.model

    @property
    def diagnostics(self) -> Any:
        """What the engine that made the draws says of them, or `None`."""
        posterior = self.posterior
        return posterior.diagnostics if isinstance(posterior, DrawsPosterior) else None

    @property
    def trustworthy(self) -> bool:
        """Whether no check found a fault."""
        return not self.complaints

    def as_posterior(self) -> AbstractPosterior:
        return self.posterior

    def get_parameters(self, verb: str = "get_parameters") -> None:
        self.posterior.get_parameters(verb)

    def flatten_means(self) -> Float[Array, " n"]:
        return self.posterior.flatten_means()

    def flatten_stdvs(self) -> Float[Array, " n"]:
        return self.posterior.flatten_stdvs()

    def moments_of_values(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return self.posterior.moments_of_values()

    def entropy(self) -> Float[Array, ""]:
        return self.posterior.entropy()

    def draw(self, key: PRNGKeyArray) -> PyTree:
        return self.posterior.draw(key)

    def __repr__(self) -> str:
        seconds = sum(step.seconds for step in self.steps)
        verdict = "to be trusted: no check found a fault"
        if self.complaints:
            verdict = f"not to be trusted as it is: {' '.join(self.complaints)}"
        head = f"Inference in {seconds:.1f} s, {verdict}"
        lines = [textwrap.fill(head, LINE, subsequent_indent="  "), "", KEYS]
        return "\n".join([*lines, *map(str, self.steps)])

    def __str__(self) -> str:
        table = posterior_table(self.posterior)
        notes = [note for note in table.notes if note != UNCHECKED]  # it is, below
        return f"{replace(table, notes=tuple(notes))}\n\n{self!r}"
