"""What importance sampling draws from: mixtures of Student t distributions."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..._compute import fold_in, standard_normal
from ..._posterior import cholesky, weighted_moments
from ..noise import short_step
from .psis import effective_sample_size, pareto_smooth

# Below so many effective draws per entry no covariance is refitted as it is.
DRAWS_PER_ENTRY = 20
# The share of the draws that all components of a mixture get alike, so that none dies
# for lack of draws, and the share of the mass below which none is moved.
EVEN_SHARE = 0.2
LEAST_MASS = 1e-3


class Students(eqx.Module):
    """A mixture of multivariate Student t distributions, one for each mode.

    Cappe, Douc, Guillin, Marin & Robert 2008, "Adaptive importance sampling in general
    mixture classes", doi:10.1007/s11222-008-9059-x.

    Attributes:
        counts: How many of a round's draws come from each component: their weights, and
            of each exactly so many.
        means: The locations of the components.
        factors: Their lower factors.
    """

    counts: Int[np.ndarray, " m"]
    means: Float[np.ndarray, "m d"]
    factors: Float[np.ndarray, "m d d"]

    @classmethod
    def at(
        cls,
        num_draws: int,
        weights: Float[np.ndarray, " m"],
        means: Float[np.ndarray, "m d"],
        covariances: Float[np.ndarray, "m d d"],
    ) -> "Students":
        """Located and scaled as distributions with these moments are."""
        factors = np.stack([cholesky(covariance) for covariance in covariances])
        return cls(_shares(num_draws, weights), means, factors)

    def log_density(self, draws: Float[np.ndarray, "n d"], df: int) -> np.ndarray:
        """At every draw, in nats."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.counts / self.counts.sum())
        return np.logaddexp.reduce(log_weights[:, None] + self._each(draws, df))

    def adapted(
        self,
        draws: Float[np.ndarray, "n d"],
        log_weights: Float[np.ndarray, " n"],
        df: int,
    ) -> "Students":
        """Moved to the weighted draws.

        Each component takes the share of every draw that it is responsible for. One
        with hardly any mass stays as it is.

        Raises:
            ValueError: If too few log weights are finite for a covariance.
        """
        num_draws, d = int(self.counts.sum()), self.means.shape[1]
        each = np.log(self.counts / num_draws)[:, None] + self._each(draws, df)
        log_shares = each - np.logaddexp.reduce(each)
        log_smoothed = _log_smoothed(log_weights)
        mass = np.exp(log_smoothed + log_shares).sum(axis=1)
        means, factors = self.means.copy(), self.factors.copy()
        num_finite = int(np.sum(np.isfinite(log_weights)))
        try:
            if num_finite <= d:
                raise ValueError
            for index in np.flatnonzero(mass > LEAST_MASS):
                own = _tempered(log_smoothed + log_shares[index], d)
                means[index], covariance = weighted_moments(draws, own)
                factors[index] = cholesky(covariance)
        except ValueError:
            raise ValueError(
                f"`log_density` is finite for {num_finite} of {len(draws)} draws, too "
                f"few or too close together for a covariance of {d} entries. Start "
                "nearer to the posterior, take more draws in a round, or look at the "
                "log density of one draw."
            ) from None
        return Students(_shares(num_draws, mass), means, factors)

    def line(self) -> "Students":
        """Draws along a line through the heaviest component, close together."""
        heaviest = np.argmax(self.counts)
        factors = np.zeros_like(self.factors)
        factors[:, :, 0] = short_step(self.factors[heaviest])
        means = np.broadcast_to(self.means[heaviest], self.means.shape)
        return Students(self.counts, means, factors)

    def _each(self, draws: Float[np.ndarray, "n d"], df: int) -> np.ndarray:
        pairs = zip(self.means, self.factors, strict=True)
        return np.stack([_log_student(draws, mean, f, df) for mean, f in pairs])


def draw_student(
    mean: Float[Array, "m d"],
    factor: Float[Array, "m d d"],
    counts: Int[Array, " m"],
    index: Int[Array, ""],
    key: PRNGKeyArray,
    df: int,
) -> Float[Array, " d"]:
    """Draw `index` of a round: `mean + factor @ t` of the component in turn."""
    turn = 0
    if len(mean) > 1:
        turn = jnp.sum(jnp.cumsum(counts) <= index)
    d, dtype = mean.shape[1], mean.dtype
    noise = standard_normal(key, (d + df,), dtype)
    # A sum of squared normal numbers has the chi-squared distribution.
    chi_squared = jnp.sum(noise[d:] ** 2)
    t = noise[:d] * lax.rsqrt(chi_squared / df)
    return mean[turn] + jnp.matmul(factor[turn], t, precision="highest")


@eqx.filter_jit
def draw_students(
    means: Float[Array, "m d"],
    factors: Float[Array, "m d d"],
    counts: Int[Array, " m"],
    indices: Int[Array | np.ndarray, " n"],
    key: PRNGKeyArray,
    df: int,
) -> Float[Array, "n d"]:
    """Many draws of a round."""

    def draw(index):
        own = fold_in(key, index)
        return draw_student(means, factors, counts, index, own, df)

    return jax.vmap(draw)(indices)


def _log_smoothed(log_weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Pareto-smoothed and normalised; small weights do not underflow."""
    weights, _ = pareto_smooth(log_weights)
    with np.errstate(divide="ignore"):
        smoothed = np.log(weights)
    return np.where(weights > 0, smoothed, log_weights - np.max(log_weights))


def _tempered(
    log_weights: Float[np.ndarray, " n"], num_entries: int
) -> Float[np.ndarray, " n"]:
    """Weights to the largest power, at most 1, that leaves enough draws for a fit.

    A covariance of a handful of effective draws is too narrow, and the next round would
    not find its way out.
    """
    num_finite = np.sum(np.isfinite(log_weights))
    wanted = min(DRAWS_PER_ENTRY * num_entries, 0.5 * num_finite)

    def raised(power: float) -> np.ndarray:
        weights = np.exp(power * (log_weights - np.max(log_weights)))
        return weights / weights.sum()

    if effective_sample_size(raised(1.0)) >= wanted:
        return raised(1.0)
    low, high = -12.0, 0.0
    for _ in range(20):
        middle = (low + high) / 2
        enough = effective_sample_size(raised(10**middle)) >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return raised(10**low)


def _log_student(
    draws: np.ndarray, mean: np.ndarray, factor: np.ndarray, df: int
) -> np.ndarray:
    d = len(mean)
    t = (draws - mean) @ np.linalg.inv(factor).T
    constant = math.lgamma((df + d) / 2) - math.lgamma(df / 2)
    constant -= d / 2 * np.log(df * np.pi) + np.sum(np.log(np.diagonal(factor)))
    return constant - (df + d) / 2 * np.log1p(np.sum(t**2, axis=1) / df)


def _shares(num_draws: int, weights: Float[np.ndarray, " m"]) -> np.ndarray:
    """How many draws each component gets: in proportion, but for an even share."""
    m = len(weights)
    mixed = (1 - EVEN_SHARE) * weights / np.sum(weights) + EVEN_SHARE / m
    return 1 + np.diff(
        np.rint(np.cumsum(mixed) * (num_draws - m)).astype(int), prepend=0
    )
