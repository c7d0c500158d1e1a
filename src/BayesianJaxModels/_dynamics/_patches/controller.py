"""Step size control that recovers from a step to infinity.

diffrax rejects a step whose error is NaN (pull request 152,
https://github.com/patrick-kidger/diffrax/pull/152), but not one that leads to infinity
(https://github.com/patrick-kidger/diffrax/issues/223). Seen in diffrax 0.7.2. It can go
when its test passes without it.
"""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from diffrax import RESULTS

from ..._gradient import all_finite


class RejectInfinite(diffrax.AbstractAdaptiveStepSizeController):
    """A controller of diffrax which accepts no step that leads to infinity.

    `diffrax.PIDController` divides the error by the size of the state. Where that is
    infinite the ratio is zero and the step is taken, or the ratio is NaN and so are all
    further step sizes. Either way a solve fails that smaller steps can do. It gives up
    at once where no size of steps will do.

    Attributes:
        smallest: A rejected step is not followed by one of this length or less.
        can_start: Whether the state at the start is one to step from.
    """

    controller: diffrax.AbstractAdaptiveStepSizeController
    rtol: Any
    atol: Any
    norm: Callable
    smallest: Any
    can_start: Any

    def __init__(
        self,
        controller: diffrax.AbstractAdaptiveStepSizeController,
        smallest: Any = 0.0,
        can_start: Any = True,
    ):
        self.controller = controller
        self.smallest, self.can_start = smallest, can_start
        self.rtol, self.atol = controller.rtol, controller.atol
        self.norm = controller.norm

    def wrap(self, direction: Any) -> "RejectInfinite":
        wrapped: Any = self.controller.wrap(direction)
        return RejectInfinite(wrapped, self.smallest, self.can_start)

    def init(self, *args: Any, **kwargs: Any) -> Any:
        return self.controller.init(*args, **kwargs)

    def adapt_step_size(
        self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
    ):
        finite = all_finite(y1_candidate)
        y1 = jax.tree.map(lambda x, y: jnp.where(finite, x, y), y1_candidate, y0)
        error = jax.tree.map(lambda x: jnp.where(finite, x, jnp.inf), y_error)
        keep, t0, t1, made_jump, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1, args, error, error_order, controller_state
        )
        # Also where a step is lost in the digits of the time.
        is_stuck = t1 - t0 <= jnp.where(keep, 0, self.smallest)
        is_good = result == RESULTS.successful
        result = RESULTS.where(is_stuck & is_good, RESULTS.dt_min_reached, result)
        failed: Any = RESULTS.nonfinite
        result = RESULTS.where(self.can_start, result, failed)
        return keep, t0, t1, made_jump, state, result
