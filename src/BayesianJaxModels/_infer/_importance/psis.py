"""Pareto-smoothed importance sampling, in double precision whatever the model's."""

import numpy as np
from jaxtyping import Float

# With fewer weights than this in the tail no Pareto distribution is fitted.
SMALLEST_TAIL = 5
NEARLY_EQUAL = 1e-3
# One draw may outweigh all others so far that theirs underflow.
SMALLEST_SCALE = 1e-300


def pareto_smooth(
    log_weights: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], float]:
    """Replace the largest weights by quantiles of a Pareto distribution fitted to them.

    See Vehtari, Simpson, Gelman, Yao & Gabry 2024, "Pareto smoothed importance
    sampling", JMLR 25(72).

    Args:
        log_weights: One for each draw, of shape `(n,)`, up to a constant; minus
            infinity for draws that do not count.

    Returns:
        The smoothed weights, which sum to 1, and k-hat, the shape of the tail: below
        0.7 averages over these weights converge, from 1 on the weights have no mean.
        Infinite where too few weights stand out to fit a tail, and minus infinity where
        none does: the largest are equal, or all within a thousandth of the largest.

    Raises:
        ValueError: If no weight is positive, or one is NaN or infinite.

    Example:
        ```python
        draws = np.random.default_rng(0).normal(size=1_000)  # of N(0, 1)
        log_weights = -((draws - 0.3) ** 2) / 2 + draws**2 / 2  # towards N(0.3, 1)
        weights, k_hat = bjm.pareto_smooth(log_weights)
        weights @ draws  # 0.237
        k_hat < 0.7  # True
        ```
    """
    log_weights = np.asarray(log_weights, float)
    if np.isnan(log_weights).any() or not np.isfinite(np.max(log_weights)):
        raise ValueError(
            "`log_weights` must be numbers or minus infinity, with at least one number."
        )
    weights = np.exp(log_weights - np.max(log_weights))
    n = len(weights)
    if np.ptp(weights) < NEARLY_EQUAL:
        return weights / weights.sum(), -np.inf
    num_tail = int(min(0.2 * n, 3 * n**0.5))
    order = np.argsort(weights)
    cutoff = weights[order[n - num_tail - 1]]
    tail = order[n - num_tail :]
    if num_tail >= SMALLEST_TAIL and weights[tail[_quartile(num_tail)]] <= cutoff:
        # Draws that repeat: the fit has no scale if a quarter equals the cutoff.
        tail = tail[weights[tail] > cutoff]
    k_hat = np.inf if len(tail) > 0 else -np.inf
    if len(tail) >= SMALLEST_TAIL:
        k_hat, scale = _fit_pareto(weights[tail] - cutoff)
        ranks = (np.arange(len(tail)) + 0.5) / len(tail)
        with np.errstate(over="ignore", invalid="ignore"):
            smoothed = cutoff + _pareto_quantile(ranks, k_hat, scale)
        weights[tail] = np.fmin(smoothed, 1.0)
    return weights / weights.sum(), float(k_hat)


def effective_sample_size(weights: Float[np.ndarray, " n"]) -> float:
    """How many draws of equal weight are worth as much: `sum(w)**2 / sum(w**2)`."""
    return float(np.sum(weights) ** 2 / np.sum(weights**2))


def largest_k_hat(num_draws: int) -> float:
    """The k-hat above which so many draws are too few, at most 0.7.

    The rule of Vehtari et al. 2024, section 3.2.4: the draws that a tail of shape `k`
    takes grow as `10**(1 / (1 - k))`.
    """
    return min(1 - 1 / np.log10(num_draws), 0.7)


def in_words(k_hat: float | Float[np.ndarray, ""]) -> str:
    """A k-hat as a person reads it, where there may be no tail to fit."""
    if k_hat == -np.inf:
        return "no k-hat (the largest weights are all equal, as of an exact fit)"
    if k_hat == np.inf:
        return "no k-hat (too few weights stand out to fit a tail)"
    return f"k-hat {k_hat:.2f}"


def _fit_pareto(excess: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, `excess` sorted.

    The empirical Bayes estimate of Zhang & Stephens 2009 (Technometrics 51(3)), with
    the shape drawn towards 0.5 as ten more observations would.
    """
    n = len(excess)
    num_points = 30 + int(n**0.5)
    quartile = max(excess[_quartile(n)], SMALLEST_SCALE)
    spread = 1 - np.sqrt(num_points / (np.arange(num_points) + 0.5))
    theta = 1 / excess[-1] + spread / (3 * quartile)
    shapes = np.mean(np.log1p(-theta[:, None] * excess), axis=1)
    log_likelihood = n * (np.log(-theta / shapes) - shapes - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    theta = np.sum(theta * posterior) / posterior.sum()
    shape = np.mean(np.log1p(-theta * excess))
    scale = -shape / theta
    return (n * shape + 10 * 0.5) / (n + 10), scale


def _quartile(n: int) -> int:
    return int(n / 4 + 0.5) - 1


def _pareto_quantile(p: np.ndarray, shape: float, scale: float) -> np.ndarray:
    if abs(shape) < 1e-12:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-shape * np.log1p(-p)) / shape
