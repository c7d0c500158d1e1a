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

    Example:
        ```python
        def spring(t, y, stiffness):
            position, velocity = y
            return -stiffness * position


        field = bjm.SecondOrderVectorField(spring)
        ts = np.linspace(0.0, 2 * np.pi, 5)  # s
        positions, velocities = bjm.integrate(field, (1.0, 0.0), ts, args=1.0).ys
        positions  # [1.00, 0.00, -1.00, 0.00, 1.00]
        ```
    """

    acceleration: Callable

    def __call__(
        self, t: Real[ArrayLike, ""], y: tuple[PyTree, PyTree], args: Any
    ) -> tuple[PyTree, PyTree]:
        """`(v, acceleration)`."""
        return y[1], self.acceleration(t, y, args)
