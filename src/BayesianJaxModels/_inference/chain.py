"""One chain of the No-U-Turn sampler: the program that BlackJAX's parts make.

Finding a start, warm-up and sampling are the same loop over single moves, so that the
gradient of the log density is compiled once for all of them.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .._compute import fold_in, standard_normal
from .._model import flatten_means
from .density import FlatDensity

# What a move is for.
SAMPLING, WARMING_UP, LAST_OF_WARM_UP, PLACING = range(4)
# Up to so many entries the metric of a chain is a full matrix, else a diagonal one.
MOST_DENSE = 64
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

    def __call__(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density, whose derivative costs nothing more."""
        vector = self.mean + jnp.matmul(self.factor, z, precision="highest")
        vector = vector.astype(flatten_means(self.density.model).dtype)
        fixed = lax.stop_gradient(vector)
        value, gradient = _value_and_gradient(self.density, fixed)
        ok = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        gradient = lax.stop_gradient(jnp.where(ok, gradient, 0))
        value = lax.stop_gradient(jnp.where(ok, value, -jnp.inf))
        return (value + jnp.vdot(gradient, vector - fixed)).astype(z.dtype)


class Chain(NamedTuple):
    """Where a chain is, and what it has learnt of its steps."""

    position: Any
    step_size: Float[Array, ""]
    averaging: Any
    metric: Any


class Move(NamedTuple):
    """What is kept of a move, or of several."""

    z: Float[Array, "*n d"]
    acceptance: Float[Array, "*n"]
    num_gradients: Int[Array, "*n"]
    diverged: Bool[Array, "*n"]
    failed: Bool[Array, "*n"]
    saturated: Bool[Array, "*n"]


def nowhere(size: int, dtype: Any) -> Chain:
    """A chain that has no place yet and has learnt nothing, in NumPy."""
    from blackjax.adaptation import mass_matrix, step_size
    from blackjax.mcmc.hmc import HMCState

    one, zeros = np.ones((), dtype), np.zeros(size, dtype)
    metric = np.eye(size, dtype=dtype) if size <= MOST_DENSE else zeros + 1
    learning = mass_matrix.WelfordAlgorithmState(zeros, 0 * metric, np.int32(0))
    return Chain(
        HMCState(zeros, 0 * one, zeros),
        one,
        # Dual averaging, from a step of one standard deviation.
        step_size.DualAveragingAdaptationState(
            0 * one, 0 * one, np.int32(1), 0 * one, np.log(10 * one)
        ),
        mass_matrix.MassMatrixAdaptationState(metric, learning),
    )


@eqx.filter_jit
def advance(
    whitened: Whitened,
    chain: Chain,
    key: PRNGKeyArray,
    plan: Int[Array, "n 3"],
    first: Int[Array, ""],
    count: Int[Array, ""],
    spread: Float[Array, ""],
    target_acceptance: Float[Array, ""],
    max_tree_depth: int,
) -> tuple[Chain, Move]:
    """Move a chain `count` times, at most as often as the plan has rows.

    Args:
        whitened: The log density.
        chain: From where.
        key: The key of the chain; move `i` has the key `fold_in(key, i)`.
        plan: For each move, what it is for, whether the metric learns from it, and
            whether a window of the warm-up ends with it.
        first: The index of the first move.
        count: How many moves.
        spread: The standard deviation of starts.
        target_acceptance: What the step size is adapted to.
        max_tree_depth: How often a trajectory may double.

    Returns:
        The chain after that, and its moves; those from `count` on mean nothing.
    """
    from blackjax.adaptation.mass_matrix import mass_matrix_adaptation
    from blackjax.adaptation.step_size import dual_averaging_adaptation
    from blackjax.mcmc import nuts

    kernel = nuts.build_kernel(_verlet)
    restart, average, averaged = dual_averaging_adaptation(target_acceptance)
    size, dtype = whitened.mean.size, whitened.mean.dtype
    # The metric of the last window counts as much as one draw for each entry.
    _, learn, learnt = mass_matrix_adaptation(size > MOST_DENSE, float(size))

    def adapt(chain, acceptance, purpose, learning, window_ends):
        averaging = average(chain.averaging, acceptance)
        metric = lax.cond(
            learning,
            lambda m: _cast(learn(m, chain.position.position), dtype),
            lambda m: m,
            chain.metric,
        )
        metric, averaging = lax.cond(
            window_ends,
            lambda m, a: _cast((learnt(m), restart(averaged(a))), dtype),
            lambda m, a: _cast((m, a), dtype),
            metric,
            averaging,
        )
        last = purpose == LAST_OF_WARM_UP
        step_size = jnp.where(
            last, averaged(averaging), jnp.exp(averaging.log_step_size)
        )
        return _cast(Chain(chain.position, step_size, averaging, metric), dtype)

    def move(i, carry):
        chain, moves = carry
        purpose, learning, window_ends = plan[i]
        key_of_one = fold_in(key, first + i)
        # A chain is put somewhere by a move of length zero from there.
        placing = purpose == PLACING
        start = spread * standard_normal(
            key_of_one, chain.position.position.shape, dtype
        )
        position = chain.position._replace(
            position=jnp.where(placing, start, chain.position.position),
            logdensity=jnp.where(placing, NOWHERE, chain.position.logdensity),
        )
        position, info = kernel(
            key_of_one,
            position,
            whitened,
            jnp.where(placing, 0, chain.step_size),
            chain.metric.inverse_mass_matrix,
            max_tree_depth,
        )
        chain = lax.cond(
            (purpose == WARMING_UP) | (purpose == LAST_OF_WARM_UP),
            lambda c: adapt(
                c, info.acceptance_rate, purpose, learning != 0, window_ends != 0
            ),
            lambda c: c,
            chain._replace(position=position),
        )
        ends = info.trajectory_leftmost_state, info.trajectory_rightmost_state
        failed = ~jnp.all(jnp.isfinite(jnp.stack([end.logdensity for end in ends])))
        made = Move(
            position.position,
            info.acceptance_rate,
            info.num_integration_steps,
            info.is_divergent & ~failed,
            failed,
            info.num_trajectory_expansions == max_tree_depth,
        )
        moves = jax.tree.map(
            lambda all_, one: all_.at[i].set(one.astype(all_.dtype)), moves, made
        )
        return chain, moves

    n = len(plan)
    moves = Move(
        jnp.zeros((n, size), dtype),
        jnp.zeros(n, dtype),
        jnp.zeros(n, jnp.int32),
        *[jnp.zeros(n, bool)] * 3,
    )
    with jax.numpy_dtype_promotion("standard"):
        return lax.fori_loop(0, count, move, (chain, moves))


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
    from blackjax.mcmc.integrators import velocity_verlet

    verlet = velocity_verlet(log_density, kinetic_energy)

    def step(state, step_size):
        state = verlet(state, step_size)
        sign = jnp.where(step_size == 0, -1, 1)
        return state._replace(momentum=sign * state.momentum)

    return step


def _cast(tree: Any, dtype: Any) -> Any:
    """Floats in one dtype and integers in another, none of them weakly typed."""

    def cast(leaf):
        leaf = jnp.asarray(leaf)
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return lax.convert_element_type(leaf, dtype if floating else jnp.int32)

    return jax.tree.map(cast, tree)
