"""Importance sampling squared: the posterior of a population from forward solves."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._check import AllFailedError, as_jax, check_counts, check_key, warn_user
from ..._compute import (
    compiled_once,
    count_workers,
    fold_in,
    map_chunks,
    progress_bar,
)
from ..._model import free_dtype, free_means
from ..._posterior import DrawsPosterior, JointPosterior, as_float64, moments
from .._importance import (
    Pool,
    Students,
    draw_students,
    effective_sample_size,
    pareto_smooth,
    sample_pool,
)
from .conditional import BATCH_SIZE, Normals, fit_normals
from .diagnostics import NestedDiagnostics
from .laplace import check_population
from .marginal import Marginal, replace_moments
from .posterior import NestedPosterior

# Draws of what all share from which each subject's proposal learns, and rounds of it.
NUM_PILOTS, PILOT_ROUNDS = 64, 3
# The widths of both parts of the mixture stay between these, so that a few heavy
# particles make none too narrow. A part that is responsible for less is not moved.
LEAST, MOST = np.array([0.7, 1.5]), np.array([3.0, 6.0])
SMALLEST_MASS = 1e-3
MOST_WEIGHTS = 200_000  # of one subject, to fit a tail to
DF = 5
NUM_PARTICLES = 16
REMEDY = "Take more draws, rounds or particles; or a second opinion of `nuts`."


def nested_importance(
    population: Any,
    start: Any,
    *,
    key: PRNGKeyArray,
    num_samples: int = 4_000,
    num_rounds: int = 3,
    num_particles: int = NUM_PARTICLES,
    batch_size: int | None = None,
    progress: bool = False,
) -> DrawsPosterior:
    """Sample the posterior of a population by importance sampling squared.

    Importance sampling of what all subjects share, where each draw is weighted by
    estimates of every subject's likelihood that are without bias themselves, from a
    few particles of its effects (Tran, Scharth, Pitt & Kohn 2013, arXiv:1309.3339). So
    the normal approximation of the start is corrected, and no gradient is taken.

    First rounds adapt, as in `importance`, with the same random numbers everywhere. The
    draws are then taken from their result and weighted once more, with random numbers
    of their own: these weights are without bias, and show in `diagnostics` whether the
    particles are enough. Each draw takes one of the particles of every subject in
    proportion to their weights.

    Runs on the host, not under `jax.jit`.

    Args:
        population: A `Population`.
        start: What `nested_laplace` returns of it.
        key: A JAX random key, for this alone.
        num_samples: How many draws to return, at least 100.
        num_rounds: How many rounds adapt, at least 1, each with a fifth as many draws
            of what all share, or 100.
        num_particles: For each subject and draw, at least 4.
        batch_size: How many draws run in lock-step, each with all its particles.
        progress: Whether to show draws done and their rate (needs tqdm).

    Returns:
        A `DrawsPosterior` over the whole model, with weighted draws; its `diagnostics`
        are a `NestedDiagnostics`.

    Raises:
        TypeError: If `population` or `start` is something else.
        ValueError: If a count is below its least.
        AllFailedError: If the density is finite for no draw.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If `NestedDiagnostics.complaints` finds something.

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
        fit = bjm.nested_laplace(population, jax.tree.map(bjm.make_parameter, zeros))
        posterior = bjm.nested_importance(population, fit, key=jax.random.key(0))
        posterior.diagnostics.log_evidence  # -7.51
        ```
    """
    check_population("nested_importance", population)
    if not isinstance(start, NestedPosterior):
        raise TypeError(
            "`start` must be what `nested_laplace` returns, but is a "
            f"{type(start).__name__}."
        )
    check_counts(100, num_samples=num_samples)
    check_counts(num_rounds=num_rounds)
    check_counts(4, num_particles=num_particles)
    check_key(key)
    run = _Run(population, start.conditional, num_particles, batch_size, progress)
    by_use = [fold_in(key, index) for index in range(5)]
    for index in range(PILOT_ROUNDS):
        run.adapt(start.shared, fold_in(by_use[0], index))
    pool = run.adaptive(
        start.shared, by_use[1], by_use[2], max(100, num_samples // 5), num_rounds
    )
    places = _systematic(pool.weights, num_samples, by_use[3])
    keys = fold_in(by_use[4], np.arange(num_samples))
    found = run.evaluate(pool.draws[places], keys, "draws")
    with np.errstate(invalid="ignore"):
        log_weights = found.log_densities - pool.log_densities[places]
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    weights, k_hat = pareto_smooth(log_weights)
    by_weights = effective_sample_size(weights) / num_samples
    diagnostics = NestedDiagnostics(
        k_hat=pool.diagnostics.k_hat,
        k_hat_correction=np.asarray(k_hat),
        k_hat_subjects=found.k_hats(),
        names=population.names,
        ess=np.asarray(min(float(pool.diagnostics.ess), num_samples) * by_weights),
        scatter=np.asarray(np.std(log_weights[np.isfinite(log_weights)])),
        num_failed=pool.diagnostics.num_failed,
        num_evaluations=pool.diagnostics.num_evaluations,
        num_draws=np.asarray(num_samples),
        shrinkage=_shrinkage(found.effects, weights),
        log_evidence=np.asarray(
            pool.diagnostics.log_evidence
            + np.logaddexp.reduce(log_weights)
            - np.log(num_samples)
        ),
        noise=pool.diagnostics.noise,
    )
    complaints = diagnostics.complaints()
    if complaints:
        warn_user(f"Nested importance sampling: {' '.join(complaints)} {REMEDY}")
    entries = run.entries(pool.draws[places], found.effects)
    entries[weights == 0] = entries[np.argmax(weights)]
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    return DrawsPosterior(
        run.layout.model,
        as_jax(entries, run.dtype),
        as_jax(log_weights, run.dtype),
        diagnostics,
    )


class Estimates(NamedTuple):
    """What was found at each of many draws of what all share.

    Attributes:
        log_densities: Estimates of the log density, of shape `(m,)`.
        effects: A particle of each subject, `(m, n, q)`.
        log_weights: Of all particles, over each subject's mean, `(m, k, n)`.
        masses: Of each subject, what both parts of the mixture are responsible for, of
            shape `(m, 2, n)`.
        firsts: The sums of the effects over each, in the coordinates of the fits,
            `(m, 2, n, q)`.
        seconds: The sums of their squares, `(m, 2, n, q, q)`.
    """

    log_densities: Any
    effects: Any
    log_weights: Any
    masses: Any
    firsts: Any
    seconds: Any

    def k_hats(self) -> Float[np.ndarray, " n"]:
        """The shape of the tail of each subject's weights."""
        m, k, n = self.log_weights.shape
        rows = self.log_weights[: max(1, MOST_WEIGHTS // k)].reshape(-1, n)
        return np.array([pareto_smooth(rows[:, i])[1] for i in range(n)])


class _Run:
    """The evaluations of one call, all by one compiled program."""

    def __init__(self, population, conditional, num_particles, batch_size, progress):
        self.layout = conditional.layout
        self.dtype, self.progress = free_dtype(self.layout.model), progress
        # Lanes of many draws wait for the slowest: better of one subject than of all.
        if jax.default_backend() == "cpu":
            population = population.one_by_one()
        self.marginal = Marginal.around(population, conditional, num_particles)
        self.batch_size = batch_size or BATCH_SIZE

    def adapt(self, start: JointPosterior, key: PRNGKeyArray) -> None:
        """Move each subject's particles to where those of some draws are heavy."""
        key_shared, key_particles = jax.random.split(key)
        shared = _draw_shared(start, fold_in(key_shared, np.arange(NUM_PILOTS)))
        keys = fold_in(key_particles, np.arange(NUM_PILOTS))
        found = self.evaluate(as_float64(shared), keys, None)
        good = np.isfinite(found.log_densities)
        if not good.any():
            raise AllFailedError(
                f"The density was not finite for any of {NUM_PILOTS} draws of `start`. "
                "Look at the solves of one of its draws."
            )
        masses, firsts, seconds = (
            as_float64(each)[good].mean(axis=0)
            for each in (found.masses, found.firsts, found.seconds)
        )
        moves = masses >= SMALLEST_MASS
        masses = np.where(moves, masses, 1)
        firsts, seconds = firsts / masses[..., None], seconds / masses[..., None, None]
        covariances = seconds - firsts[..., :, None] * firsts[..., None, :]
        values, vectors = np.linalg.eigh(covariances)
        widths = np.sqrt(np.maximum(values, 0))
        widths = np.clip(widths, LEAST[:, None, None], MOST[:, None, None])
        bounded = (vectors * widths[..., None, :] ** 2) @ np.swapaxes(vectors, -1, -2)
        shifts, factors = map(as_float64, (self.marginal.shifts, self.marginal.factors))
        shifts = np.where(moves[..., None], firsts, shifts)
        moved = np.linalg.cholesky(bounded)
        factors = np.where(moves[..., None, None], moved, factors)
        self.marginal = replace_moments(
            self.marginal, as_jax(shifts, self.dtype), as_jax(factors, self.dtype)
        )

    def adaptive(
        self,
        start: JointPosterior,
        key: PRNGKeyArray,
        same: PRNGKeyArray,
        num_samples: int,
        num_rounds: int,
    ) -> Pool:
        """Rounds of importance sampling with the same random numbers everywhere."""

        def evaluate(proposal, index, count):
            drawn = draw_students(
                as_jax(proposal.means, self.dtype),
                as_jax(proposal.factors, self.dtype),
                as_jax(proposal.counts),
                np.arange(num_samples),
                fold_in(key, index),
                DF,
            )
            shared = as_float64(drawn)[:count]
            keys = jnp.broadcast_to(same, count)
            unit = "draws" if count == num_samples else None
            return shared, self.evaluate(shared, keys, unit).log_densities

        mean, covariance = moments(start)
        first = Students.at(num_samples, np.ones(1), mean[None], covariance[None])
        return sample_pool(evaluate, first, num_rounds=num_rounds, df=DF)

    def evaluate(self, shared: np.ndarray, keys: Any, unit: str | None) -> Estimates:
        """Estimates at many draws, on all cores."""
        m, size = len(shared), self.batch_size
        # The last batch is filled up, so that runs of any length share compiled code.
        places = np.arange(-(-m // size) * size).reshape(-1, size) % m
        shared = shared.astype(self.dtype)
        words = np.asarray(jax.random.key_data(keys))

        def run(index, worker):
            own, of_keys = as_jax(shared[places[index]]), as_jax(words[places[index]])
            fitting = (self.marginal.conditional, own)
            with compiled_once(fit_normals, *fitting):
                _, normals = fit_normals(*fitting)
            call = (self.marginal, own, normals, of_keys)
            with compiled_once(_at_points, *call):
                found = _at_points(*call)
            return jax.tree.map(np.asarray, found)

        parts, unit = [], unit if self.progress else None
        with progress_bar(m, unit) as advance:
            starts = list(range(len(places)))
            for _, part in map_chunks(run, starts, num_workers=count_workers()):
                parts.append(part)
                advance(size)
        return jax.tree.map(lambda *each: np.concatenate(each)[:m], *parts)

    def entries(self, shared: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """The entries of the whole model."""
        p, (n, q) = self.layout.shared.size, self.layout.effects.shape
        entries = np.empty((len(shared), p + n * q))
        entries[:, np.asarray(self.layout.shared)] = shared
        entries[:, np.asarray(self.layout.effects)] = effects
        return entries


@eqx.filter_jit
def _at_points(
    marginal: Marginal, shared: Array, normals: Normals, words: Array
) -> Estimates:
    def at(shared, normals, words):
        key_particles, key_choice = jax.random.split(jax.random.wrap_key_data(words))
        found = marginal.particles(shared, normals, key_particles)
        log_likelihoods = found.log_likelihoods
        log_weights = found.log_weights - log_likelihoods
        shares = found.log_parts - jnp.logaddexp(*found.log_parts)
        weights = jnp.exp(log_weights + shares) / len(log_weights)
        chosen = jax.random.categorical(key_choice, log_weights, axis=0)
        effects = jnp.take_along_axis(found.effects, chosen[None, :, None], axis=0)[0]
        return Estimates(
            jnp.sum(log_likelihoods) + marginal.conditional.log_prior(shared),
            effects,
            log_weights,
            jnp.sum(weights, axis=1),
            jnp.einsum("ckn,kni->cni", weights, found.white),
            jnp.einsum("ckn,kni,knj->cnij", weights, found.white, found.white),
        )

    return jax.vmap(at)(shared, normals, words)


@eqx.filter_jit
def _draw_shared(shared: JointPosterior, keys: Array) -> Array:
    return jax.vmap(lambda key: free_means(shared.draw(key)))(keys)


def _shrinkage(
    effects: Float[np.ndarray, "m n q"], weights: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " q"]:
    """How much less the means of subjects differ than subjects do."""
    means = np.tensordot(weights, effects, axes=1)
    own = np.tensordot(weights, (effects - means) ** 2, axes=1).mean(axis=0)
    between = means.var(axis=0)
    return 1 - np.sqrt(between / (between + own))


def _systematic(
    weights: Float[np.ndarray, " m"], count: int, key: PRNGKeyArray
) -> np.ndarray:
    """Places in proportion to weights, evenly spread (Kitagawa 1996)."""
    uniform = (np.arange(count) + float(jax.random.uniform(key))) / count
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative / cumulative[-1], uniform)
