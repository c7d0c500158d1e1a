"""`diffeqsolve` and `StepTo` of diffrax without the checks that call the host.

`dt0` and the times to save at or step to are checked by `equinox.error_if` while a
solve runs, also with `throw=False`, by a callback from compiled code. JAX keeps no
program with a callback in its persistent cache, so that a second run of a script
compiles every solve again (https://github.com/patrick-kidger/diffrax/issues/664), nor
can it be exported (https://github.com/patrick-kidger/diffrax/issues/636). Seen in
diffrax 0.7.2. It can go when its test passes without it.
"""

from typing import Any

import diffrax
import equinox as eqx

from .internals import with_internals


def _let_pass(x: Any, pred: Any, msg: str) -> Any:
    return x


# A `Clock` has checked the times, and `dt0` points the way that they run.
diffeqsolve = eqx.filter_jit(with_internals(diffrax.diffeqsolve, error_if=_let_pass))


class KnownSteps(diffrax.StepTo):
    """Steps to times that were checked before."""

    wrap = with_internals(diffrax.StepTo.wrap, error_if=_let_pass)
    init = with_internals(diffrax.StepTo.init, error_if=_let_pass)
