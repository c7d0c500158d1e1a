"""The mode of a population with its effects integrated out, and the fit there."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from ..._check import AllFailedError, as_jax, check_counts, check_key, warn_user
from ..._compute import fold_in, full_precision, progress_bar
from ..._model import free_means, replace_free_means
from ..._posterior import as_float64
from ..._prior import sample_prior
from ..._problem import Population
from .._search import search
from ..arguments import check_engine_arguments
from ..density import FlatDensity, values_and_gradients
from ..laplace import laplace
from .conditional import BATCH_SIZE, Conditional, fit_normals
from .layout import Layout
from .posterior import NestedPosterior

# Searches of what all share, each with new tangents, and how near they have to come.
MOST_SEARCHES, MOST_SETTLING, MOST_HALVINGS = 30, 20, 6
SETTLED, AGREE = 0.01, 0.01
MOST_STEPS = 200


def nested_laplace(
    population: Any,
    model: PyTree,
    *,
    key: PRNGKeyArray | None = None,
    num_starts: int = 1,
    progress: bool = False,
) -> NestedPosterior:
    """Integrate the effects out by normal distributions, and fit what all share.

    The mode of parameters and effects together is worth nothing in a population: the
    density runs away to where all subjects are alike. So it is the marginal density of
    what all share that is maximised, with the effects of each subject integrated out
    by a normal distribution at their mode, where simulations are made linear. This is
    what FOCE with interaction does in NONMEM and nlmixr.

    The answer is an approximation: with few observations of each subject, standard
    deviations between subjects come out too small as a rule. `nested_importance` goes
    on from it to the posterior itself. Runs on the host, not under `jax.jit`.

    Args:
        population: A `Population`.
        model: Says what the parameters are. The first search starts at its means.
        key: A JAX random key, where there are more starts.
        num_starts: How many searches: all but the first begin at draws of the prior.
        progress: Whether to show the searches that are done (needs tqdm).

    Returns:
        A `NestedPosterior`, around the best of the modes that searches ended in.

    Raises:
        TypeError: If an argument is of another type, or they are swapped.
        ValueError: If observations or effects do not fit, or the marginal density is
            not curved at its mode.
        AllFailedError: If every search failed.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If the search has not settled.

    Example:
        ```python
        def problem_of(subject):
            def mean(drawn):
                return drawn["effects"].value + 0 * subject.ts

            noise = bjm.likelihoods.NormalLikelihood(0.5)
            return bjm.Problem(mean, noise, subject.observations, prior=None)

        around = bjm.priors.Normal(lambda m: m["typical"].value, 1.0)
        prior = {"['typical']": bjm.priors.Normal(), "['effects']": around}
        subjects = [bjm.Subject([0.0, 1.0], [y, y + 0.5]) for y in (0.0, 1.0, 2.0)]
        population = bjm.Population(
            problem_of, subjects, prior=bjm.Prior(prior), effects="['effects']"
        )
        zeros = {"typical": np.zeros(()), "effects": np.zeros(3)}
        model = jax.tree.map(bjm.make_parameter, zeros)
        bjm.nested_laplace(population, model).shared.log_evidence  # -7.51
        ```
    """
    check_engine_arguments(population, model, "model", takes_posteriors=False)
    check_population("nested_laplace", population)
    check_counts(num_starts=num_starts)
    keys = [] if num_starts == 1 else fold_in(check_key(key), np.arange(num_starts))
    population.check(model)
    found: list[_Search] = []
    with progress_bar(num_starts, "searches" if progress else None) as advance:
        for index in range(num_starts):
            start = model
            if index > 0:
                start = sample_prior(model, population.prior, keys[index])
            found.append(_Search(population, start))
            found[-1].run()
            advance(1)
    best = max(found, key=lambda one: one.value)
    if not np.isfinite(best.value):
        raise AllFailedError(
            f"All {num_starts} searches failed: the log density was not finite where "
            "they began. Start at a model whose solves succeed for every subject."
        )
    if not best.settled:
        warn_user(
            "The search for the mode of the marginal density has not settled. Start "
            "it nearer, with tighter priors, or with tighter tolerances of the solves."
        )
    return best.posterior()


def check_population(verb: str, population: Any) -> None:
    """Hold an argument to a `Population`.

    Raises:
        TypeError: If it is anything else.
    """
    if not isinstance(population, Population):
        raise TypeError(
            f"`{verb}` takes a `Population`, but got a {type(population).__name__}."
        )


class _Search:
    """One search: tangents, the best of what all share there, new tangents."""

    def __init__(self, population: Population, start: PyTree):
        self.population = population
        self.layout = Layout.of(population, start)
        whole = as_float64(free_means(start))
        self.shared = whole[self.layout.shared]
        self.effects = whole[self.layout.effects]
        self.dtype = free_means(start).dtype
        self.value, self.settled = -np.inf, False

    def run(self) -> None:
        conditional, normals = self._settle(self.shared, self.effects)
        self.value = self._value(conditional, normals, self.shared)
        self.conditional, self.effects = conditional, as_float64(normals.means)
        if not np.isfinite(self.value):
            return
        for _ in range(MOST_SEARCHES):
            target = self._maximise(self.conditional)
            share, before = 1.0, self.value
            for _ in range(MOST_HALVINGS):
                shared = self.shared + share * (target - self.shared)
                conditional, normals = self._settle(shared, self.effects)
                value = self._value(conditional, normals, shared)
                if value >= before - AGREE:
                    break
                share /= 2
            else:
                return  # no step gets anywhere
            self.shared, self.effects = shared, as_float64(normals.means)
            self.conditional, self.value = conditional, value
            if share == 1.0 and abs(value - before) < AGREE:
                self.settled = True
                return

    def posterior(self) -> NestedPosterior:
        target = self._maximise(self.conditional)
        rest = replace_free_means(self.layout.rest, as_jax(target, self.dtype))
        conditional, normals = self._settle(target, self.effects)
        model = self.layout.whole(as_jax(target, self.dtype), normals.means)
        return NestedPosterior(model, laplace(conditional, rest), conditional)

    def _settle(self, shared: np.ndarray, effects: np.ndarray):
        """Tangents at the modes of the effects, and the normal fits there."""
        held, held_values = effects, np.full(len(effects), -np.inf)
        conditional, values, normals = self._at(shared, effects)
        for _ in range(MOST_SETTLING):
            values = as_float64(values)
            worse = ~(values >= held_values - AGREE)
            if np.any(worse & np.isfinite(held_values)):
                effects = np.where(worse[:, None], (effects + held) / 2, effects)
            else:
                held, held_values = effects, values
                away = normals.whitened(as_jax(effects, self.dtype))
                if np.all(np.abs(as_float64(away)) < SETTLED):
                    break
                effects = as_float64(normals.means)
            conditional, values, normals = self._at(shared, effects)
        return conditional, normals

    def _at(self, shared, effects):
        arrays = as_jax(shared, self.dtype), as_jax(effects, self.dtype)
        try:
            conditional = _tangents(self.population, self.layout, *arrays)
        except (TypeError, ValueError):
            self.population.explain(self.layout.model)
            raise
        many = jnp.broadcast_to(arrays[0], (BATCH_SIZE, shared.size))
        found = fit_normals(conditional, many)
        return conditional, *jax.tree.map(lambda leaf: leaf[0], found)

    def _value(self, conditional, normals, shared) -> float:
        log_prior = _log_prior(conditional, as_jax(shared, self.dtype))
        value = float(np.sum(as_float64(normals.log_masses)) + as_float64(log_prior))
        return value if np.isfinite(value) else -np.inf

    def _maximise(self, conditional: Conditional) -> np.ndarray:
        """The mode of the marginal density with these tangents."""
        density = FlatDensity(conditional, self.layout.rest)

        def evaluate(points):
            values, gradients = values_and_gradients(density, points)
            return -values, -gradients

        ends = search.minimise(
            evaluate,
            density.rounded(self.shared[None]),
            scale=np.full(self.shared.shape, 0.1),
            tolerance=1e-6 if self.dtype == jnp.float64 else 1e-3,
            max_steps=MOST_STEPS,
        )
        return ends.points[0] if np.isfinite(ends.values[0]) else self.shared


@eqx.filter_jit
@full_precision
def _tangents(
    population: Population, layout: Layout, shared: Array, effects: Array
) -> Conditional:
    """The population made linear."""
    whole = layout.whole(shared, effects)
    return Conditional(
        population.linearised(whole), Layout(whole, layout.shared, layout.effects)
    )


@eqx.filter_jit
def _log_prior(conditional: Conditional, shared: Array) -> Array:
    return conditional.log_prior(shared)
