"""The marginal likelihood of every subject, estimated without bias by few particles."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, ndtri
from jaxtyping import Array, Float, PRNGKeyArray

from ..._compute import full_precision
from ..._model import free_dtype
from ..._problem import Population
from ..._special import solve_lower
from .conditional import Conditional, Normals, log_joints

# Particles are drawn from a mixture of two: most are normal, as wide as the fit, and
# each fourth has a Student t distribution, wider, so that no weight is large where the
# fit is too narrow or leans to the wrong side. Its degrees of freedom are even.
WIDE_EACH, WIDE, DF = 4, 2.0, 4


class Particles(NamedTuple):
    """What stands for the effects of every subject, given what all share.

    Attributes:
        log_weights: Of shape `(k, n)`: their mean is each subject's likelihood.
        effects: Of shape `(k, n, q)`.
        white: The same in the coordinates of the normal fits.
        log_parts: The log density of each part of the mixture there, `(2, k, n)`.
    """

    log_weights: Float[Array, "k n"]
    effects: Float[Array, "k n q"]
    white: Float[Array, "k n q"]
    log_parts: Float[Array, "2 k n"]

    @property
    def log_likelihoods(self) -> Float[Array, " n"]:
        """The estimates of the log marginal likelihoods, one for each subject."""
        return logsumexp(self.log_weights, axis=0) - jnp.log(len(self.log_weights))


class Marginal(eqx.Module):
    """What estimates the likelihood of every subject, given what all share.

    Attributes:
        population: As it is, not linear.
        conditional: Where particles are drawn.
        shifts: From the means of the normal fits to the locations of both parts of the
            mixture, in the coordinates of the fits: `(2, n, q)`.
        factors: Lower factors of their scales there, `(2, n, q, q)`.
        num_particles: For each subject.
    """

    population: Population
    conditional: Conditional
    shifts: Float[Array, "2 n q"]
    factors: Float[Array, "2 n q q"]
    num_particles: int = eqx.field(static=True)

    @classmethod
    def around(
        cls, population: Population, conditional: Conditional, num_particles: int
    ) -> "Marginal":
        """With particles around the normal fits."""
        n, q = conditional.layout.effects.shape
        dtype = free_dtype(conditional.layout.model)
        scales = np.array([1.0, WIDE])[:, None, None, None] * np.eye(q)
        return cls(
            population,
            conditional,
            jnp.zeros((2, n, q), dtype),
            jnp.asarray(np.broadcast_to(scales, (2, n, q, q)), dtype),
            num_particles,
        )

    @full_precision
    def particles(
        self, shared: Float[Array, " p"], normals: Normals, key: PRNGKeyArray
    ) -> Particles:
        """Draw effects for all subjects around the normal fits, and weight them."""
        n, q = normals.means.shape
        k, dtype = self.num_particles, shared.dtype
        # A lattice that is shifted at random for each subject: evenly spread, and each
        # particle by itself is as random as any.
        lattice = jnp.asarray(_lattice(k, q + DF // 2), dtype)
        shift = jax.random.uniform(key, (n, q + DF // 2), dtype)
        tiny = jnp.finfo(dtype).eps
        uniform = jnp.clip((lattice[:, None] + shift) % 1, tiny, 1 - tiny)
        # A chi-squared number of two degrees of freedom is twice an exponential one.
        chi_squared = -2 * jnp.sum(jnp.log(uniform[..., q:]), axis=-1)
        part = (np.arange(k) % WIDE_EACH == WIDE_EACH - 1).astype(int)
        spread = jnp.where(part[:, None], jnp.sqrt(DF / chi_squared), 1)
        standard = spread[..., None] * ndtri(uniform[..., :q])
        moved = jnp.einsum("knij,knj->kni", self.factors[part], standard)
        white = self.shifts[part] + moved
        effects = jax.vmap(normals.placed)(white)
        layout = self.conditional.layout
        log_targets = jax.vmap(log_joints, (None, None, None, 0))(
            self.population, layout, shared, effects
        )
        log_targets = jnp.where(jnp.isfinite(log_targets), log_targets, -jnp.inf)
        log_parts = self._log_parts(white, float(np.mean(part)))
        log_proposals = jnp.logaddexp(*log_parts) + normals.log_slopes
        return Particles(log_targets - log_proposals, effects, white, log_parts)

    def _log_parts(
        self, white: Float[Array, "k n q"], share: float
    ) -> Float[Array, "2 k n"]:
        """The log density of both parts of the mixture, with their weights."""
        q = white.shape[-1]
        away = white - self.shifts[:, None]
        standard = solve_lower(self.factors[:, None], away)
        squares = jnp.sum(standard**2, axis=-1)
        diagonals = jnp.diagonal(self.factors, axis1=-2, axis2=-1)
        squares_normal, squares_student = squares
        log_normal = -squares_normal / 2 - q / 2 * math.log(2 * math.pi)
        constant = math.lgamma((DF + q) / 2) - math.lgamma(DF / 2)
        constant -= q / 2 * math.log(DF * math.pi)
        log_student = constant - (DF + q) / 2 * jnp.log1p(squares_student / DF)
        log_shares = jnp.log(jnp.array([1 - share, share], white.dtype))
        log_slopes = jnp.sum(jnp.log(diagonals), axis=-1)
        both = jnp.stack([log_normal, log_student])
        return both + (log_shares[:, None] - log_slopes)[:, None]


def replace_moments(
    marginal: Marginal, shifts: Float[Array, "2 n q"], factors: Float[Array, "2 n q q"]
) -> Marginal:
    """The same, with particles drawn elsewhere."""
    return eqx.tree_at(
        lambda node: (node.shifts, node.factors), marginal, (shifts, factors)
    )


def _lattice(k: int, q: int) -> Float[np.ndarray, "k q"]:
    """Points of a Kronecker sequence in the unit cube.

    Its slopes are powers of the root of `x**(q + 1) = x + 1` (Roberts 2018, "The
    unreasonable effectiveness of quasirandom sequences").
    """
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (q + 1))
    slopes = root ** -np.arange(1.0, q + 1)
    return (np.arange(k)[:, None] * slopes) % 1
