"""The effects of every subject, given what all share: normal fits and their masses."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

from ..._compute import full_precision
from ..._model import free_means
from ..._problem import Population
from ..._special import small_cholesky, solve_lower, solve_upper
from .layout import Layout

# From the modes at the tangents few steps lead to those nearby. Of each, the best of
# these shares is taken.
NUM_STEPS = 6
SHARES = (1.0, 0.3, 0.05, 0.0)
LEAST_CURVATURE = 1e-6
# How many are fitted at once.
BATCH_SIZE = 16


class Normals(eqx.Module):
    """One normal distribution of the effects for each subject.

    Attributes:
        means: Of shape `(n, q)`.
        factors: Lower factors of the precisions, `(n, q, q)`.
        log_masses: The log of the integral of each subject's density over its effects,
            by this fit: `(n,)`.
    """

    means: Float[Array, "n q"]
    factors: Float[Array, "n q q"]
    log_masses: Float[Array, " n"]

    def placed(self, white: Float[Array, "n q"]) -> Float[Array, "n q"]:
        """The effects that stand so many standard deviations away from the means."""
        return self.means + solve_upper(self.factors, white)

    def whitened(self, effects: Float[Array, "n q"]) -> Float[Array, "n q"]:
        """The inverse of `placed`."""
        return jnp.einsum("nji,nj->ni", self.factors, effects - self.means)

    @property
    def log_slopes(self) -> Float[Array, " n"]:
        """The log of the determinants of `whitened`."""
        return jnp.sum(jnp.log(jnp.diagonal(self.factors, axis1=1, axis2=2)), axis=1)


class Conditional(eqx.Module):
    """A population whose simulations are linear, and what follows for its effects.

    As a log density of the model without effects it is the nested Laplace
    approximation: for each subject the effects are integrated out by a normal
    distribution at their mode. With tangents at those modes that is what FOCE with
    interaction does in NONMEM (Lindstrom & Bates 1990, Biometrics 46(3); Wang 2007,
    doi:10.1007/s10928-007-9060-6).

    Attributes:
        population: Linear around the model of the layout.
        layout: Where its entries are; its model has the effects where searches start.
    """

    population: Population
    layout: Layout

    def log_joints(
        self, shared: Float[Array, " p"], effects: Float[Array, "n q"]
    ) -> Float[Array, " n"]:
        """The log density of observations and effects of each subject."""
        return log_joints(self.population, self.layout, shared, effects)

    @full_precision
    def normals(self, shared: Float[Array, " p"]) -> Normals:
        """The normal fits at the modes of the effects; it can be differentiated."""
        fixed = lax.stop_gradient(shared)
        start = lax.stop_gradient(self.layout.effects_of(self.layout.model))
        modes, factors = lax.stop_gradient(self._modes(fixed, start))
        # One more step, whose derivative is that of the modes.
        modes = modes + _solved(factors, self._slopes(shared, modes)[0])
        values, slopes, curvatures = self._derivatives(shared, modes)
        factors = _factors(curvatures)
        q = modes.shape[1]
        log_volumes = jnp.sum(jnp.log(jnp.diagonal(factors, axis1=1, axis2=2)), axis=1)
        # What is left of a step counts too: half of the decrease that it promises.
        left = jnp.sum(slopes * _solved(factors, slopes), axis=1) / 2
        log_masses = values + left - log_volumes + q / 2 * jnp.log(2 * jnp.pi)
        return Normals(modes, factors, log_masses)

    def __call__(self, drawn: PyTree) -> Float[Array, ""]:
        shared = free_means(drawn)
        masses = jnp.sum(self.normals(shared).log_masses)
        return masses + self.log_prior(shared)

    def log_prior(self, shared: Float[Array, " p"]) -> Float[Array, ""]:
        """The log prior density of what all subjects share."""
        start = self.layout.effects_of(self.layout.model)
        whole = self.layout.whole(shared, start)
        return self.population.log_prior_of_rest(whole)

    def _modes(self, shared: Array, start: Array) -> tuple[Array, Array]:
        """Newton's method for all subjects at once, each with steps that it can take.

        Returns the modes, and the factors of the curvatures a step before.
        """
        shares = jnp.asarray(SHARES, start.dtype)

        def step(_, found):
            effects, _ = found
            _, slopes, curvatures = self._derivatives(shared, effects)
            factors = _factors(curvatures)
            move = _solved(factors, slopes)
            tried = effects + shares[:, None, None] * move
            values = jax.vmap(self.log_joints, (None, 0))(shared, tried)
            values = jnp.where(jnp.isfinite(values), values, -jnp.inf)
            best = jnp.argmax(values, axis=0)
            taken = jnp.take_along_axis(tried, best[None, :, None], axis=0)[0]
            return taken, factors

        n, q = start.shape
        return lax.fori_loop(
            0, NUM_STEPS, step, (start, jnp.zeros((n, q, q), start.dtype))
        )

    def _slopes(self, shared: Array, effects: Array) -> tuple[Array, Array]:
        """The slopes of each subject by its effects, and the values.

        No subject depends on the effects of another: the derivative of their sum.
        """
        values, pull = jax.vjp(lambda x: self.log_joints(shared, x), effects)
        [slopes] = pull(jnp.ones_like(values))
        return slopes, values

    def _derivatives(self, shared: Array, effects: Array) -> tuple[Array, Array, Array]:
        """Values, slopes and negative curvatures by the effects, of each subject.

        One direction for all of them together is a column of each one's matrix.
        """
        n, q = effects.shape
        directions = jnp.broadcast_to(jnp.eye(q)[:, None], (q, n, q))
        directions = directions.astype(effects.dtype)
        slopes, along, values = jax.linearize(
            lambda x: self._slopes(shared, x), effects, has_aux=True
        )
        columns = jax.vmap(along)(directions)
        curvatures = -jnp.moveaxis(columns, 0, -1)
        return values, slopes, (curvatures + jnp.swapaxes(curvatures, 1, 2)) / 2


@eqx.filter_jit
def fit_normals(
    conditional: Conditional, shared: Float[Array, "m p"]
) -> tuple[Float[Array, "m n"], Normals]:
    """Log densities at the tangents, and the normal fits, for many at once.

    Searches and particles use this one program, with as many at once.
    """

    def fit(shared: Float[Array, " p"]) -> tuple[Array, Normals]:
        start = conditional.layout.effects_of(conditional.layout.model)
        return conditional.log_joints(shared, start), conditional.normals(shared)

    return jax.vmap(fit)(shared)


def log_joints(
    population: Population,
    layout: Layout,
    shared: Float[Array, " p"],
    effects: Float[Array, "n q"],
) -> Float[Array, " n"]:
    """The log density of observations and effects of each subject, given the rest."""
    whole = layout.whole(shared, effects)
    likelihoods = population.log_likelihoods(whole)
    return likelihoods + population.log_priors_of_effects(whole)


def _factors(curvatures: Float[Array, "n q q"]) -> Float[Array, "n q q"]:
    """Lower factors; of the diagonal alone where a matrix is not positive."""
    factors = small_cholesky(curvatures)
    is_positive = jnp.all(jnp.isfinite(factors), axis=(1, 2), keepdims=True)
    diagonal = jnp.diagonal(curvatures, axis1=1, axis2=2)
    alone = jnp.sqrt(jnp.maximum(jnp.abs(diagonal), LEAST_CURVATURE))
    alone = jnp.where(jnp.isfinite(alone), alone, 1)
    eye = jnp.eye(curvatures.shape[-1], dtype=curvatures.dtype)
    safe = jnp.where(is_positive, curvatures, eye)
    return jnp.where(is_positive, small_cholesky(safe), alone[:, None] * eye)


def _solved(
    factors: Float[Array, "n q q"], vectors: Float[Array, "n q"]
) -> Float[Array, "n q"]:
    """The vectors divided by `factors @ factors.T`."""
    return solve_upper(factors, solve_lower(factors, vectors))
