"""Equations of motion: an acceleration as a vector field."""

from collections.abc import Callable
from typing import Any

from jaxtyping import ArrayLike, PyTree, Real

from .field import AbstractVectorField


class SecondOrderVectorField(AbstractVectorField):
    """`q'' = acceleration(t, (q, v), args)` as a first-order system in `y = (q, v)`.

    Attributes:
        acceleration: A callable pytree of signature `(t, (q, v), args)` that returns
            the second derivative, in the structure and shapes of `q`.
    """

    acceleration: Callable

    def __call__(
        self, t: Real[ArrayLike, ""], y: tuple[PyTree, PyTree], args: Any
    ) -> tuple[PyTree, PyTree]:
        """`(v, acceleration)`."""
        return y[1], self.acceleration(t, y, args)
