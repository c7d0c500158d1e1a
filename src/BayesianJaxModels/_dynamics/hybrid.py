"""Known physics plus what is left to learn: a universal differential equation."""

from collections.abc import Callable
from operator import add
from typing import Any

import jax
from jaxtyping import ArrayLike, PyTree, Real

from .field import AbstractVectorField


class HybridVectorField(AbstractVectorField):
    """The sum of a known and a learnt vector field.

    A universal differential equation (Rackauckas et al. 2020, arXiv:2001.04385).

    Attributes:
        known: The known part, a callable pytree of signature `(t, y, args)`; it may
            have parameters of its own.
        residual: What is added to it, of the same signature.

    Example:
        ```python
        def decay(t, y, args):
            return -0.3 * y


        unknown = bjm.NeuralVectorField(2, width=16, depth=1, key=jax.random.key(0))
        field = bjm.HybridVectorField(decay, unknown)
        field(0.0, jnp.ones(2), None).shape  # (2,): the derivative, for `integrate`
        ```
    """

    known: Callable
    residual: Callable

    def __call__(self, t: Real[ArrayLike, ""], y: PyTree, args: Any) -> PyTree:
        """`known(t, y, args) + residual(t, y, args)`, leaf by leaf."""
        return jax.tree.map(add, self.known(t, y, args), self.residual(t, y, args))
