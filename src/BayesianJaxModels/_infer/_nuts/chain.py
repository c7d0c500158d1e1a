"""One chain of the No-U-Turn sampler: the program that BlackJAX's parts make.

Finding a start, warm-up and sampling are one loop over moves, so that the gradient is
compiled once; BlackJAX's `window_adaptation` takes half as long again to compile.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ..._check import import_extra
from ..._compute import fold_in, full_precision
from ..density import FlatDensity

# What a move is for.
SAMPLING, WARMING_UP, LAST_OF_WARM_UP, PLACING = range(4)
# Up to so many entries a chain learns all correlations, and beyond the widths alone.
MOST_DENSE = 100
# The log density of a chain that has no place yet, for which any other is better.
NOWHERE = -1e30


class Whitened(eqx.Module):
    """A log density at `mean + factor @ z`, as a function of `z`.

    Where it or its gradient is not finite it is minus infinity, with gradient zero. `z`
    has JAX's default precision, as BlackJAX wants it, and the model its own.
    """

    density: FlatDensity
    mean: Float[Array, " d"]
    factor: Float[Array, "d d"]

    def vector(self, z: Float[Array, " d"]) -> Float[Array, " d"]:
        """The entries of the model at `z`."""
        vector = self.mean + jnp.matmul(self.factor, z, precision="highest")
        return vector.astype(self.density.dtype)

    def __call__(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density, whose derivative costs nothing more."""
        vector = self.vector(z)
        fixed = lax.stop_gradient(vector)
        value, gradient = _value_and_gradient(self.density, fixed)
        ok = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        gradient = lax.stop_gradient(jnp.where(ok, gradient, 0))
        value = lax.stop_gradient(jnp.where(ok, value, -jnp.inf))
        return (value + jnp.vdot(gradient, vector - fixed)).astype(z.dtype)


class Chain(eqx.Module):
    """Where a chain is, and what it has learnt.

    Attributes:
        position: `z`, the log density there and its gradient by `z`.
        factor: The coordinates of the chain: its entries are `mean + factor @ z`.
        covariance: Of `z`, as far as it is known in this window.
        step_size: In the coordinates of the chain.
        averaging: How the step size is found.
    """

    position: Any
    factor: Any
    covariance: Any
    step_size: Any
    averaging: Any


class Move(eqx.Module):
    """What is kept of a move, or of several."""

    draw: Float[Array, "*n d"]
    acceptance: Float[Array, "*n"]
    num_gradients: Int[Array, "*n"]
    diverged: Bool[Array, "*n"]
    failed: Bool[Array, "*n"]
    saturated: Bool[Array, "*n"]
    energy: Float[Array, "*n"]


def extra(name: str) -> Any:
    """Import what only the extra `nuts` brings.

    Raises:
        ImportError: If it is missing.
    """
    return import_extra(name, "`nuts`", "BlackJAX and ArviZ", "nuts")


def nowhere(factor: Float[np.ndarray, "d d"]) -> Chain:
    """A chain that has no place yet and has learnt nothing, in NumPy.

    Its coordinates are zero, wherever their origin will be.
    """
    blackjax = extra("blackjax")
    welford_state = blackjax.adaptation.mass_matrix.WelfordAlgorithmState
    averaging_state = blackjax.adaptation.step_size.DualAveragingAdaptationState
    one, zeros = np.ones((), factor.dtype), 0 * factor[0]
    squares = 0 * factor if len(factor) <= MOST_DENSE else zeros
    return Chain(
        blackjax.mcmc.hmc.HMCState(
            position=zeros, logdensity=NOWHERE * one, logdensity_grad=zeros
        ),
        factor,
        welford_state(mean=zeros, m2=squares, sample_size=np.int32(0)),
        one,
        # From a step of one standard deviation.
        averaging_state(
            log_step_size=0 * one,
            log_step_size_avg=0 * one,
            step=np.int32(1),
            avg_error=0 * one,
            mu=np.log(10 * one),
        ),
    )


@eqx.filter_jit
@full_precision
def advance(
    density: FlatDensity,
    mean: Float[Array, " d"],
    chain: Chain,
    key: PRNGKeyArray,
    plan: Int[Array, "n 3"],
    first: Int[Array, ""],
    count: Int[Array, ""],
    target_acceptance: Float[Array, ""],
    max_tree_depth: int,
) -> tuple[Chain, Move]:
    """Move a chain `count` times, at most as often as the plan has rows.

    A row of the plan says what a move is for, whether the coordinates, whose origin is
    `mean`, learn from it, and whether a window of the warm-up ends with it. Move `i`
    has the key `fold_in(key, first + i)`. Of the moves those from `count` on mean
    nothing.
    """
    blackjax = extra("blackjax")
    adaptation, size, dtype = blackjax.adaptation, mean.size, mean.dtype
    kernel = blackjax.nuts.build_kernel(_verlet)
    _, learn, learnt = adaptation.mass_matrix.welford_algorithm(size > MOST_DENSE)
    averager = adaptation.step_size.dual_averaging_adaptation
    restart, average, averaged = averager(target_acceptance)

    def end_window(chain):
        covariance, num_draws, _ = learnt(chain.covariance)
        step_size = averaged(chain.averaging)
        position, factor = _turn(chain.position, chain.factor, covariance, num_draws)
        return Chain(
            position,
            factor,
            jax.tree.map(jnp.zeros_like, chain.covariance),
            step_size,
            restart(step_size),
        )

    def adapt(chain, acceptance, row):
        purpose, learning, window_ends = row
        averaging = average(chain.averaging, acceptance)
        covariance = lax.cond(
            learning != 0,
            lambda c: _cast(learn(c, chain.position.position), dtype),
            lambda c: c,
            chain.covariance,
        )
        last = purpose == LAST_OF_WARM_UP
        now = jnp.exp(averaging.log_step_size)
        step_size = jnp.where(last, averaged(averaging), now)
        chain = replace(
            chain, covariance=covariance, step_size=step_size, averaging=averaging
        )
        return lax.cond(
            window_ends != 0,
            lambda c: _cast(end_window(c), dtype),
            lambda c: _cast(c, dtype),
            chain,
        )

    def move(i, carry):
        chain, moves = carry
        purpose = plan[i, 0]
        key_of_one = fold_in(key, first + i)
        whitened = Whitened(density, mean, chain.factor)
        # A chain is put where it is by a move of length zero, in which the key plays no
        # part.
        position, info = kernel(
            key_of_one,
            chain.position,
            whitened,
            jnp.where(purpose == PLACING, 0, chain.step_size),
            jnp.ones(size, dtype),
            max_tree_depth,
        )
        chain = lax.cond(
            (purpose == WARMING_UP) | (purpose == LAST_OF_WARM_UP),
            lambda c: adapt(c, info.acceptance_rate, plan[i]),
            lambda c: c,
            replace(chain, position=position),
        )
        ends = info.trajectory_leftmost_state, info.trajectory_rightmost_state
        failed = ~jnp.all(jnp.isfinite(jnp.stack([end.logdensity for end in ends])))
        made = Move(
            whitened.vector(position.position),
            info.acceptance_rate,
            info.num_integration_steps,
            info.is_divergent & ~failed,
            failed,
            (info.num_trajectory_expansions == max_tree_depth) & ~info.is_turning,
            info.energy,
        )
        moves = jax.tree.map(
            lambda all_, one: all_.at[i].set(one.astype(all_.dtype)), moves, made
        )
        return chain, moves

    n = len(plan)
    numbers, none = jnp.zeros(n, dtype), jnp.zeros(n, bool)
    moves = Move(
        draw=jnp.zeros((n, size), density.dtype),
        acceptance=numbers,
        num_gradients=jnp.zeros(n, jnp.int32),
        diverged=none,
        failed=none,
        saturated=none,
        energy=numbers,
    )
    with jax.numpy_dtype_promotion("standard"):
        return lax.fori_loop(0, count, move, (chain, moves))


def _turn(
    position: Any, factor: Array, covariance: Array, num_draws: Array
) -> tuple[Any, Array]:
    """Change to coordinates where draws of a given covariance are round.

    The coordinates so far, where it was taken to be one, count as much as one draw for
    each entry: with fewer draws than entries the covariance has no inverse.
    """
    state = type(position)
    z, gradient = position.position, position.logdensity_grad
    if covariance.ndim == 1:
        scale = jnp.sqrt((num_draws * covariance + 5) / (num_draws + 5))
        turned = state(z / scale, position.logdensity, scale * gradient)
        return turned, factor * scale
    size = z.size
    covariance = (num_draws * covariance + size * jnp.eye(size)) / (num_draws + size)
    root = jnp.linalg.cholesky(covariance)
    root = jnp.where(jnp.all(jnp.isfinite(root)), root, jnp.eye(size))
    z = solve_triangular(root, z, lower=True)
    gradient = jnp.matmul(gradient, root, precision="highest")
    turned = state(z, position.logdensity, gradient)
    return turned, jnp.matmul(factor, root, precision="highest")


@eqx.filter_jit
def _value_and_gradient(
    density: FlatDensity, vector: Float[Array, " d"]
) -> tuple[Array, Array]:
    """Traced once, however often BlackJAX asks."""
    return density.value_and_gradient(vector)


def _verlet(log_density: Any, kinetic_energy: Any) -> Any:
    """Velocity Verlet, except that a step of size zero turns around.

    A trajectory ends where it turns, so with that size it is a single step.
    """
    integrators = extra("blackjax").mcmc.integrators
    verlet = integrators.velocity_verlet(log_density, kinetic_energy)

    def step(state, step_size):
        state = verlet(state, step_size)
        sign = jnp.where(step_size == 0, -1, 1)
        return integrators.IntegratorState(
            position=state.position,
            momentum=sign * state.momentum,
            logdensity=state.logdensity,
            logdensity_grad=state.logdensity_grad,
        )

    return step


def _cast(tree: Any, dtype: Any) -> Any:
    """Floats in one dtype and integers in another, none of them weakly typed."""

    def cast(leaf):
        leaf = jnp.asarray(leaf)
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return lax.convert_element_type(leaf, dtype if floating else jnp.int32)

    return jax.tree.map(cast, tree)
