"""Step size controllers that find back from a step which went too far."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


def reject_infinite(
    controller: diffrax.AbstractStepSizeController,
) -> diffrax.AbstractStepSizeController:
    """The same controller, which takes a smaller step where one led to infinity.

    `diffrax.PIDController` divides the error by the size of the state. Where a trial
    step leads to infinity both are infinite, their ratio is NaN, and so are this and
    all further step sizes: a solve that a smaller step would have saved fails.

    Args:
        controller: Any controller of diffrax; what is not a `PIDController`, alone or
            inside a `ClipStepSizeController`, is returned as it is.
    """
    if isinstance(controller, diffrax.ClipStepSizeController):
        inner = reject_infinite(controller.controller)
        return eqx.tree_at(lambda c: c.controller, controller, inner)
    if isinstance(controller, diffrax.PIDController):
        norm = _NaNIsInfinite(controller.norm)
        return eqx.tree_at(lambda c: c.norm, controller, norm)
    return controller


class _NaNIsInfinite(eqx.Module):
    """A norm of errors, infinite where it would be NaN."""

    norm: Callable = eqx.field(static=True)

    def __call__(self, errors: PyTree) -> Float[Array, ""]:
        size = self.norm(errors)
        return jnp.where(jnp.isnan(size), jnp.inf, size)
