"""Explicit Runge-Kutta methods with their stages written out.

diffrax had an option for it up to 0.3, `scan_stages`, and dropped it to save compile
time (https://github.com/patrick-kidger/diffrax/issues/242). Seen in 0.7.2. It
can go when that option is back, or the loop over stages costs no more than they do.
"""

from collections.abc import Callable
from typing import Any, cast

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PyTree

# More stages are left in diffrax's loop: each one is another copy of the vector field
# to compile.
MOST_STAGES = 8


def write_out_stages(
    solver: diffrax.AbstractSolver, adjoint: diffrax.AbstractAdjoint
) -> diffrax.AbstractSolver:
    """The same method with its stages written out, or as it is where they cannot be."""
    can_be = (
        isinstance(solver, diffrax.AbstractERK)
        and type(solver).step is diffrax.AbstractERK.step
        and isinstance(solver.tableau, diffrax.ButcherTableau)
        and solver.tableau.num_stages <= MOST_STAGES
        and not isinstance(adjoint, diffrax.BacksolveAdjoint)
    )
    return StagesWrittenOut(solver) if can_be else solver  # pyright: ignore


class StagesWrittenOut(diffrax.AbstractSolver):
    """An explicit Runge-Kutta method of diffrax, one stage written after the other.

    diffrax runs the stages in a loop over buffers, which costs more than the few
    operations of a stage: written out, the steps of a small system are two to five
    times as fast on a CPU. The numbers are diffrax's to rounding.
    """

    method: diffrax.AbstractERK

    @property
    def term_structure(self) -> type:  # pyright: ignore
        return self.method.term_structure

    @property
    def interpolation_cls(self) -> Callable:  # pyright: ignore
        return self.method.interpolation_cls

    @property
    def _tableau(self) -> diffrax.ButcherTableau:
        return cast(diffrax.ButcherTableau, self.method.tableau)

    def order(self, terms):
        return self.method.order(terms)

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        return terms.vf(t0, y0, args) if self._tableau.fsal else None

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        tableau, control = self._tableau, terms.contr(t0, t1)
        if not tableau.fsal:
            field = terms.vf(t0, y0, args)
        elif made_jump is False:
            field = solver_state
        else:
            field = lax.cond(
                made_jump, lambda: terms.vf(t0, y0, args), lambda: solver_state
            )
        slopes, y = [terms.prod(field, control)], y0
        for row, c in zip(tableau.a_lower, tableau.c, strict=True):
            y = _advance(y0, row, slopes)
            t = t1 if c == 1 else t0 + jnp.asarray(c, jnp.result_type(t0)) * (t1 - t0)
            field = terms.vf(t, y, args)
            slopes.append(terms.prod(field, control))
        y1 = y if tableau.ssal else _advance(y0, tableau.b_sol, slopes)
        error = _combine(tableau.b_error, slopes)
        k = jax.tree.map(lambda *leaves: jnp.stack(leaves), *slopes)
        next_state = field if tableau.fsal else None
        result = diffrax.RESULTS.successful
        return y1, error, {"y0": y0, "y1": y1, "k": k}, next_state, result


def _advance(y0: PyTree, weights: Any, slopes: list[PyTree]) -> PyTree:
    return jax.tree.map(jnp.add, y0, _combine(weights, slopes))


def _combine(weights: Any, slopes: list[PyTree]) -> PyTree:
    """The sum of the slopes with their weights, without those that are zero."""
    used = [(w, slope) for w, slope in zip(weights, slopes, strict=True) if w != 0]

    def combine(*leaves):
        terms = [
            np.asarray(w, leaf.dtype) * leaf
            for (w, _), leaf in zip(used, leaves, strict=True)
        ]
        return sum(terms[1:], terms[0])

    return jax.tree.map(combine, *[slope for _, slope in used])
