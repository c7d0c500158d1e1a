"""Adaptive importance sampling: a posterior from forward solves alone."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..._check import AllFailedError, as_jax, check_counts, check_key
from ..._compute import collect, fold_in, gather_shares, spread
from ..._posterior import (
    AbstractDiagnostics,
    DrawsPosterior,
    as_posterior,
    moments,
)
from ..arguments import check_engine_arguments
from ..density import FlatDensity
from ..noise import NUM_POINTS, noise_along, noise_complaint
from .psis import effective_sample_size, in_words, largest_k_hat, pareto_smooth
from .student import Students, draw_student

# What is too little, in effective draws, and as a share of all draws. Where k-hat says
# that the weights have no finite variance, more is asked for.
SMALLEST_SAMPLE = 400
SMALLEST_SHARE = 0.15
FINITE_VARIANCE = 0.5
SMALLEST_SHARE_BEYOND = 0.25


class ImportanceDiagnostics(AbstractDiagnostics):
    """How far importance sampling can be trusted; NumPy scalars.

    Attributes:
        k_hat: The shape of the weights' tail (`pareto_smooth`). It warns above 0.7, or
            below that with few draws; a small one certifies nothing about regions that
            no draw has reached.
        ess: How many draws of equal weight are worth as much.
        num_failed: For how many draws the log density was not finite. They have
            weight zero.
        num_evaluations: How many draws were evaluated, over all rounds.
        log_evidence: The logarithm of the integral of `exp(log_density)`, in nats.
        noise: How much the log density scatters over a few hundredths of a standard
            deviation, in nats: by a solver's tolerance as a rule. It warns above 0.1.
            NaN where too few values are finite there.

    Example:
        ```python
        rates = bjm.make_parameter([0.0, 0.0], init_raw_stdv=1.0)  # sd 1
        posterior = bjm.importance(
            lambda drawn: -jnp.sum(drawn.mean**2) / 2,
            rates,
            key=jax.random.key(0),
            num_rounds=2,
            num_samples=1_000,
        )
        posterior.diagnostics.log_evidence  # 1.85: log(2 pi) is 1.84
        posterior.diagnostics.num_failed  # 0
        ```
    """

    k_hat: Float[np.ndarray, ""]
    ess: Float[np.ndarray, ""]
    num_failed: Int[np.ndarray, ""]
    num_evaluations: Int[np.ndarray, ""]
    log_evidence: Float[np.ndarray, ""]
    noise: Float[np.ndarray, ""]

    def complaints(self) -> list[str]:
        """What is wrong, one sentence each; empty where no fault was found.

        A k-hat above 0.7 (or `1 - 1 / log10(n)` for fewer than 2,200 draws, Vehtari et
        al. 2024); fewer than 400 effective draws; and fewer than 15 % of all draws, or
        than 25 % where k-hat is above 0.5; and a log density that is not smooth.
        """
        return self.of_weights() + noise_complaint(float(self.noise))

    def of_weights(self) -> list[str]:
        """Those of `complaints` that are about the weights."""
        found, limit = [], largest_k_hat(int(self.num_evaluations))
        if self.k_hat > limit:
            found.append(f"{in_words(self.k_hat)} is above {limit:.2g}.")
        if self.ess < SMALLEST_SAMPLE:
            found.append(f"{self.ess:.0f} effective draws are below {SMALLEST_SAMPLE}.")
        heavy = self.k_hat > FINITE_VARIANCE
        least = SMALLEST_SHARE_BEYOND if heavy else SMALLEST_SHARE
        share, why = self.ess / self.num_evaluations, ""
        if heavy:
            why = f" (asked for at k-hats above {FINITE_VARIANCE})"
        if share < least:
            found.append(
                f"{100 * share:.1f} % of the draws are effective, below "
                f"{100 * least:g} %{why}."
            )
        return found

    def __repr__(self) -> str:
        return (
            f"ImportanceDiagnostics: {in_words(self.k_hat)}, {self.ess:.0f} effective "
            f"draws of {self.num_evaluations}, {self.num_failed} failed, log evidence "
            f"{self.log_evidence:.4g}: "
            + (" ".join(self.complaints()) or "no fault found around the start")
        )


def importance(
    log_density: Callable[[Any], Float[Array, ""]],
    start: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int = 4_000,
    num_rounds: int = 5,
    df: int = 5,
    batch_size: int | None = None,
    progress: bool = False,
) -> DrawsPosterior:
    """Sample a posterior by adaptive importance sampling.

    Each round draws from a multivariate Student t distribution and weights the draws of
    all rounds so far by the density over the mixture of all proposals so far (Cornuet,
    Marin, Mira & Robert 2012, arXiv:0907.1254); mean and covariance of the Pareto-
    smoothed weights make the next proposal. It needs no gradients, runs on all cores
    and devices as `map_posterior` does, and follows skewed posteriors that no Gaussian
    fits. For up to some twenty entries; beyond, weights degenerate and the diagnostics
    say so.

    From a `MixturePosterior` every proposal is a mixture with as many components, each
    of which is moved to the draws that it is responsible for (Cappé et al. 2008,
    doi:10.1007/s11222-008-9059-x). So a posterior with several modes comes out whole if
    there is a component at each of them. From a fit at one mode, the others are never
    seen, and nothing says so.

    It warns where `ImportanceDiagnostics.complaints` finds something. On 18 targets
    with known moments (normal, skewed, heavy-tailed, curved, funnels; 1 to 43 entries),
    42 of the 43 runs with a mean or width beyond the limits of `diagnose` warn, and 26
    of the 137 others, all on funnels, bananas and heavy tails.

    Runs on the host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar, up to a constant. Where it is not finite, the draw counts as
            failed and gets weight zero. The same function uses its compiled code again.
        start: A posterior to start at, such as the result of `laplace`: a plain model,
            a `JointPosterior`, a `DrawsPosterior`, or a `MixturePosterior` of such.
        key: A JAX random key, for this alone. Draw `i` of round `r` has the key
            `fold_in(fold_in(key, r), i)`.
        num_samples: Draws in a round, at least 100.
        num_rounds: How many rounds, at least 1.
        df: Degrees of freedom of the proposals, at least 3. Fewer reach further.
        batch_size: How many draws run in lock-step, as in `map_posterior`.
        progress: Whether to show draws done and their rate (needs tqdm).

    Returns:
        A `DrawsPosterior` with `num_rounds * num_samples` weighted draws; its
        `diagnostics` are an `ImportanceDiagnostics`. In place of a draw of weight
        zero, which may be one that fails, stands the heaviest one with weight zero.

    Raises:
        NotImplementedError: If the start is a posterior whose moments are not known.
        ValueError: If a count is below its least, the start has no proper covariance,
            a mixture has more components than half of a round's draws, `log_density`
            returns no single number, or that is finite for too few draws.
        AllFailedError: If it is finite for none.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If k-hat or the effective sample size is bad, or the log density
            has the noise of a solver, with what to do.

    Example:
        ```python
        def log_density(drawn):  # of a rate: log-normal with median 1
            log_rate = jnp.log(drawn.mean)
            return -12.5 * log_rate**2 - log_rate

        start = bjm.laplace(log_density, bjm.make_parameter(0.96))
        fit = bjm.importance(log_density, start, key=jax.random.key(0), num_rounds=2)
        fit.weights @ fit.draws  # [1.02]
        ```
    """
    check_counts(100, num_samples=num_samples)
    check_counts(num_rounds=num_rounds)
    check_counts(3, df=df)
    check_engine_arguments(log_density, start)
    check_key(key)
    start = as_posterior(start)
    density = FlatDensity(log_density, start.model)
    entries = density.entries
    weights, parts = start.parts()
    if len(parts) > num_samples // 2:
        raise ValueError(
            f"`start` has {len(parts)} components, too many for `num_samples` "
            f"{num_samples}. Take at least two draws for each."
        )
    means, covariances = map(np.stack, zip(*map(moments, parts), strict=True))

    def evaluate(proposal, index, count):
        of_index = eqx.Partial(
            _evaluate,
            density,
            as_jax(proposal.means, entries.dtype),
            as_jax(proposal.factors, entries.dtype),
            as_jax(proposal.counts),
            fold_in(key, index),
            df,
        )
        chunks = spread(
            of_index,
            num_samples,
            bytes_per_item=entries.nbytes,
            batch_size=batch_size,
            progress="draws" if progress and count == num_samples else None,
        )
        if count == num_samples:
            return collect(chunks, num_samples)
        return _first_of(chunks, count)

    pool = sample_pool(
        evaluate,
        Students.at(num_samples, weights, means, covariances),
        num_rounds=num_rounds,
        df=df,
    )
    draws, diagnostics = pool.draws, pool.diagnostics
    # Draws of weight zero would vary in number, and what follows be compiled anew.
    draws[pool.weights == 0] = draws[np.argmax(pool.weights)]
    _warn(diagnostics)
    with np.errstate(divide="ignore"):
        log_weights = np.log(pool.weights)
    return DrawsPosterior(
        density.model,
        as_jax(draws, entries.dtype),
        as_jax(log_weights, entries.dtype),
        diagnostics,
    )


class Pool(NamedTuple):
    """The draws of all rounds.

    Attributes:
        draws: Of shape `(n, d)`.
        log_densities: Of the target at each; minus infinity where it failed.
        weights: Pareto-smoothed, which sum to 1.
        diagnostics: What they say of themselves.
    """

    draws: Float[np.ndarray, "n d"]
    log_densities: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]
    diagnostics: ImportanceDiagnostics


def sample_pool(
    evaluate: Callable[[Students, int, int], tuple[Any, Any]],
    proposal: Students,
    *,
    num_rounds: int,
    df: int,
) -> Pool:
    """Draw, weight and adapt round by round, as `importance` does.

    Args:
        evaluate: From a proposal, the index of a round and a count to so many draws and
            their log densities: as many as the proposal has, or the first of them.
        proposal: Of the first round.
        num_rounds: As in `importance`.
        df: As in `importance`.
    """
    proposals, draws, log_densities = [], [], []
    for index in range(num_rounds):
        if index > 0:
            pooled, log_target, log_weights = _pool(proposals, draws, log_densities, df)
            proposal = proposal.adapted(pooled, log_weights, df)
        proposals.append(proposal)
        found = evaluate(proposal, index, int(proposal.counts.sum()))
        draws.append(np.asarray(found[0], np.float64))
        log_densities.append(np.asarray(found[1], np.float64))
    line = proposal.line()
    noise = _noise_along(line, *evaluate(line, num_rounds, NUM_POINTS))
    pooled, log_target, log_weights = _pool(proposals, draws, log_densities, df)
    weights, k_hat = pareto_smooth(log_weights)
    log_evidence = np.logaddexp.reduce(log_weights) - np.log(len(weights))
    diagnostics = ImportanceDiagnostics(
        k_hat=np.asarray(k_hat),
        ess=np.asarray(effective_sample_size(weights)),
        num_failed=np.asarray(np.sum(~np.isfinite(log_weights))),
        num_evaluations=np.asarray(len(weights)),
        log_evidence=np.asarray(log_evidence),
        noise=noise,
    )
    return Pool(pooled, log_target, weights, diagnostics)


def _evaluate(
    density: FlatDensity,
    means: Float[Array, "m d"],
    factors: Float[Array, "m d d"],
    counts: Int[Array, " m"],
    key: PRNGKeyArray,
    df: int,
    index: Int[Array, ""],
) -> tuple[Array, Array]:
    """A draw of the proposal and its log density."""
    vector = draw_student(means, factors, counts, index, fold_in(key, index), df)
    return vector, density(vector)


def _first_of(
    chunks: Iterator[tuple[int, tuple]], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """So many draws and log densities, from as few chunks as will do."""
    points, values = [], []
    for _, (drawn, found) in chunks:
        points.extend(np.asarray(drawn, np.float64))
        values.extend(np.asarray(found, np.float64))
        if len(values) >= count:
            break
    return np.array(points), np.array(values)


def _pool(
    proposals: list[Students], draws: list, log_densities: list, df: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All draws so far, their log densities, and log weights over all proposals."""
    pooled = np.concatenate(draws)
    log_target = np.concatenate(log_densities)
    log_target = np.where(np.isfinite(log_target), log_target, -np.inf)
    if not np.isfinite(log_target).any():
        raise AllFailedError(
            f"`log_density` was not finite for any of the {len(pooled)} draws. Start "
            "nearer to the posterior, or look at the log density of one draw."
        )
    log_proposals = [proposal.log_density(pooled, df) for proposal in proposals]
    mixture = np.logaddexp.reduce(log_proposals, axis=0) - np.log(len(proposals))
    return pooled, log_target, log_target - mixture


def _noise_along(line: Students, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The noise of the log density along a line."""
    noise = noise_along(points, values, line.factors[0, :, 0])
    # Each process has a chunk of its own, and all are to say the same.
    return np.asarray(np.max(gather_shares(np.array([noise]), jax.process_count())))


def _warn(diagnostics: ImportanceDiagnostics) -> None:
    complaints = diagnostics.complaints()
    if not complaints:
        return
    remedy = ""
    if diagnostics.of_weights():
        remedy = (
            " For the weights, take more rounds or more draws in a round, a smaller "
            "`df` for heavy tails, start from a better fit (`laplace` at the best "
            "mode, or full-covariance variational inference), or use `nuts`."
        )
    warnings.warn(
        f"Importance sampling has {in_words(diagnostics.k_hat)} and "
        f"{diagnostics.ess:.0f} effective draws of {diagnostics.num_evaluations}. "
        f"{' '.join(complaints)}{remedy}",
        stacklevel=3,
    )
