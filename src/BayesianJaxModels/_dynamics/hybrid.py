"""Known physics plus what is left to learn: a universal differential equation."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import ArrayLike, PyTree, Real

from .field import AbstractVectorField


class HybridVectorField(AbstractVectorField):
    """The sum of a known and a learnt vector field (Rackauckas et al. 2020).

    Attributes:
        known: The known part, a callable pytree of signature `(t, y, args)`; it may
            have parameters of its own.
        residual: What is added to it, of the same signature.
    """

    known: Callable
    residual: Callable

    def __call__(self, t: Real[ArrayLike, ""], y: PyTree, args: Any) -> PyTree:
        """`known(t, y, args) + residual(t, y, args)`, leaf by leaf."""
        return jax.tree.map(
            lambda left, right: left + right,
            self.known(t, y, args),
            self.residual(t, y, args),
        )
