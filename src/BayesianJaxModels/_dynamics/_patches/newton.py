"""Small linear systems of implicit methods, solved without LAPACK.

JAX calls LAPACK once for each matrix of a batch, which takes longer than the few
operations of a small system (https://github.com/jax-ml/jax/issues/36927). Seen in jax
0.10.2. It can go when `jnp.linalg.solve` of a batch of such systems, in two threads, is
as fast as `invert`: benchmarks/sampling_cases.py has a stiff case.
"""

import math

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

# Written out, the elimination compiles in a time that grows with the square of this.
LARGEST_SYSTEM = 12


def without_lapack(
    solver: diffrax.AbstractSolver, y0: PyTree, *, rows: bool = False
) -> diffrax.AbstractSolver:
    """The same method with its small linear systems inverted in compiled code.

    On a CPU, LAPACK takes a lock for each of many small systems: seen to make two
    threads eight times slower than one. A method with another linear solver than
    diffrax's default, or a larger state, stays as it is. If `rows`, the first axis of
    `y0` counts states.
    """
    shapes = [leaf.shape[1:] if rows else leaf.shape for leaf in jax.tree.leaves(y0)]
    size = sum(math.prod(shape) for shape in shapes)
    finder = getattr(solver, "root_finder", None)
    default = lx.AutoLinearSolver(well_posed=None)
    if getattr(finder, "linear_solver", None) != default or size > LARGEST_SYSTEM:
        return solver
    return eqx.tree_at(
        lambda s: s.root_finder.linear_solver,
        solver,
        SmallInverse(),
        is_leaf=lambda node: isinstance(node, lx.AbstractLinearSolver),
    )


class SmallInverse(lx.AbstractLinearSolver[Float[Array, "n n"]]):
    """Solve with the inverse of a small square matrix, by Gauss-Jordan elimination.

    With partial pivoting, written out over the columns. The inverse is as exact as
    Newton's method, which corrects itself, asks for.
    """

    def init(self, operator, options):
        return invert(operator.as_matrix())

    def compute(self, state, vector, options):
        flat, unravel = ravel_pytree(vector)
        # Products and sums by row: a batch of small `dot`s is slower on a CPU.
        solution = jnp.sum(state * flat[None, :], axis=1)
        finite = jnp.all(jnp.isfinite(state))
        result = lx.RESULTS.where(finite, lx.RESULTS.successful, lx.RESULTS.singular)
        return unravel(solution), result, {}

    def transpose(self, state, options):
        return state.T, {}

    def conj(self, state, options):
        return state, {}  # it is real

    def assume_full_rank(self) -> bool:
        return True


def invert(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The inverse of a small matrix; NaN or infinite where it is singular."""
    n = len(matrix)
    rows = jnp.arange(n)[:, None]
    # Its left half ends as the identity, its right half as the inverse.
    both = jnp.concatenate([matrix, jnp.eye(n, dtype=matrix.dtype)], axis=1)
    for k in range(n):
        size = jnp.where(rows[:, 0] >= k, jnp.abs(both[:, k]), -1)
        is_pivot = rows == jnp.argmax(size)
        pivot = jnp.sum(jnp.where(is_pivot, both, 0), axis=0)
        both = jnp.where(is_pivot, both[k], both)
        pivot = pivot / pivot[k]
        both = jnp.where(rows == k, pivot, both - both[:, k : k + 1] * pivot)
    return both[:, n:]
