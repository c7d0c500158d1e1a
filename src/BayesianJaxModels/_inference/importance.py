"""Adaptive importance sampling: a posterior from forward solves alone."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._compute import collect, fold_in, spread, standard_normal
from .density import FlatDensity
from .moments import cholesky
from .posterior import DrawsPosterior, model_of, moments, weighted_moments
from .psis import effective_sample_size, pareto_smooth

# Above this k-hat, averages over the weights are not to be trusted (Vehtari et al.
# 2024), and below so many effective draws per entry no covariance is refitted as it is.
LARGEST_K_HAT = 0.7
SMALLEST_SAMPLE = 400
DRAWS_PER_ENTRY = 20


class ImportanceDiagnostics(eqx.Module):
    """How far importance sampling can be trusted; NumPy scalars.

    Attributes:
        k_hat: The shape of the weights' tail (`pareto_smooth`). It warns above .7; a
            small one certifies nothing about regions that no draw has reached.
        ess: How many draws of equal weight are worth as much.
        num_failed: For how many draws the log density was not finite. They have
            weight zero.
        num_evaluations: How many draws were evaluated, over all rounds.
        log_evidence: The logarithm of the integral of `exp(log_density)`, in nats.

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

    def __repr__(self) -> str:
        return (
            f"ImportanceDiagnostics: k-hat {self.k_hat:.2f}, {self.ess:.0f} effective "
            f"draws of {self.num_evaluations}, {self.num_failed} failed, log evidence "
            f"{self.log_evidence:.4g}"
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

    Runs on the host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar, up to a constant. Where it is not finite, the draw counts as
            failed and gets weight zero. Pass the same function again to use its
            compiled code again.
        start: A posterior to start at, such as the result of `laplace`: a plain model,
            a `JointPosterior` or a `DrawsPosterior`.
        key: A JAX random key, for this alone. Draw `i` of round `r` has the key
            `fold_in(fold_in(key, r), i)`.
        num_samples: Draws in a round, at least 100.
        num_rounds: How many rounds, at least 1.
        df: Degrees of freedom of the proposals, at least 3. Fewer reach further.
        batch_size: How many draws run in lock-step, as in `map_posterior`.
        progress: Whether to show draws done and their rate (needs tqdm).

    Returns:
        A `DrawsPosterior` with `num_rounds * num_samples` weighted draws; its
        `diagnostics` are an `ImportanceDiagnostics`. In the place of a draw of weight
        zero, which may be one that fails, stands the heaviest one with weight zero.

    Raises:
        TypeError: If the start is another kind of posterior.
        ValueError: If a count is below its least, the start has no proper covariance,
            `log_density` returns no single number, or that is finite for no draw.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If k-hat or the effective sample size is bad, with what to do.

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
    for name, count, least in (
        ("num_samples", num_samples, 100),
        ("num_rounds", num_rounds, 1),
        ("df", df, 3),
    ):
        if count < least:
            raise ValueError(f"`{name}` must be at least {least}, but got {count}.")
    model = model_of(start)
    density = FlatDensity(log_density, model)
    entries = density.entries
    mean, covariance = moments(start)
    proposals, draws, log_densities = [], [], []
    for index in range(num_rounds):
        if index > 0:
            pooled, log_weights = _pool(proposals, draws, log_densities, df)
            weights = _tempered(pareto_smooth(log_weights)[0], mean.size)
            mean, covariance = weighted_moments(pooled, weights)
        factor = cholesky(covariance)
        proposals.append((mean, factor))
        inputs = (
            density,
            jnp.asarray(mean, entries.dtype),
            jnp.asarray(factor, entries.dtype),
            fold_in(key, index),
            _Degrees(df),
        )
        chunks = spread(
            _evaluate,
            inputs,
            num_samples,
            bytes_per_item=entries.nbytes,
            batch_size=batch_size,
            progress="draws" if progress else None,
        )
        found = collect(chunks, num_samples)
        draws.append(np.asarray(found[0], np.float64))
        log_densities.append(np.asarray(found[1], np.float64))
    pooled, log_weights = _pool(proposals, draws, log_densities, df)
    weights, k_hat = pareto_smooth(log_weights)
    # Draws of weight zero would vary in number, and what follows be compiled anew.
    pooled[weights == 0] = pooled[np.argmax(weights)]
    log_evidence = np.logaddexp.reduce(log_weights) - np.log(len(weights))
    diagnostics = ImportanceDiagnostics(
        k_hat=np.asarray(k_hat),
        ess=np.asarray(effective_sample_size(weights)),
        num_failed=np.asarray(np.sum(~np.isfinite(log_weights))),
        num_evaluations=np.asarray(len(weights)),
        log_evidence=np.asarray(log_evidence),
    )
    _warn(diagnostics)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    return DrawsPosterior(
        model,
        jnp.asarray(pooled, entries.dtype),
        jnp.asarray(log_weights, entries.dtype),
        diagnostics,
    )


class _Degrees(eqx.Module):
    """A number that is static under `jax.jit`."""

    df: int = eqx.field(static=True)


def _evaluate(inputs: tuple, index: Any) -> tuple[Array, Array]:
    """A draw of the proposal, `mean + factor @ t`, and its log density."""
    density, mean, factor, key, degrees = inputs
    noise = standard_normal(fold_in(key, index), (mean.size + degrees.df,), mean.dtype)
    # A sum of squared normal numbers has the chi-squared distribution.
    chi_squared = jnp.sum(noise[mean.size :] ** 2)
    t = noise[: mean.size] * lax.rsqrt(chi_squared / degrees.df)
    vector = mean + jnp.matmul(factor, t, precision="highest")
    return vector, density(vector)


def _pool(
    proposals: list, draws: list, log_densities: list, df: int
) -> tuple[np.ndarray, np.ndarray]:
    """All draws so far, and log weights against the mixture of all proposals."""
    pooled = np.concatenate(draws)
    log_target = np.concatenate(log_densities)
    log_target = np.where(np.isfinite(log_target), log_target, -np.inf)
    if not np.isfinite(log_target).any():
        raise ValueError(
            f"`log_density` was not finite for any of the {len(pooled)} draws. Start "
            "nearer to the posterior, or look at the log density of one draw."
        )
    log_proposals = [_log_student(pooled, mean, f, df) for mean, f in proposals]
    mixture = np.logaddexp.reduce(log_proposals, axis=0) - np.log(len(proposals))
    return pooled, log_target - mixture


def _log_student(
    draws: np.ndarray, mean: np.ndarray, factor: np.ndarray, df: int
) -> np.ndarray:
    d = len(mean)
    t = (draws - mean) @ np.linalg.inv(factor).T
    constant = math.lgamma((df + d) / 2) - math.lgamma(df / 2)
    constant -= d / 2 * np.log(df * np.pi) + np.sum(np.log(np.diagonal(factor)))
    return constant - (df + d) / 2 * np.log1p(np.sum(t**2, axis=1) / df)


def _tempered(weights: np.ndarray, num_entries: int) -> np.ndarray:
    """Weights to the largest power, at most 1, that leaves enough draws for a fit.

    A covariance of a handful of effective draws is too narrow, and the next round would
    not find its way out.
    """
    wanted = min(DRAWS_PER_ENTRY * num_entries, 0.5 * np.sum(weights > 0))

    def raised(power: float) -> np.ndarray:
        positive = np.where(weights > 0, weights, 1) ** power * (weights > 0)
        return positive / positive.sum()

    if effective_sample_size(weights) >= wanted:
        return weights
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        enough = effective_sample_size(raised(middle)) >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return raised(low)


def _warn(diagnostics: ImportanceDiagnostics) -> None:
    bad_tail = diagnostics.k_hat > LARGEST_K_HAT
    if not bad_tail and diagnostics.ess >= SMALLEST_SAMPLE:
        return
    warnings.warn(
        f"Importance sampling has k-hat {diagnostics.k_hat:.2f} (good below "
        f"{LARGEST_K_HAT}) and {diagnostics.ess:.0f} effective draws of "
        f"{diagnostics.num_evaluations} (good from {SMALLEST_SAMPLE} on). Take more "
        "rounds or more draws in a round, a smaller `df` for heavy tails, start from a "
        "better fit (`laplace` at the best mode, or full-covariance variational "
        "inference), or use `nuts`.",
        stacklevel=3,
    )
