"""`diffeqsolve` and `StepTo` of diffrax without the checks that call the host.

`dt0` and the times to save at or step to are checked by `equinox.error_if` while a
solve runs, also with `throw=False`, by a callback from compiled code. JAX keeps no
program with a callback in its persistent cache, so that a second run of a script
compiles every solve again (https://github.com/patrick-kidger/diffrax/issues/664), nor
can it be exported (https://github.com/patrick-kidger/diffrax/issues/636). Seen in
diffrax 0.7.2. It can go when its test passes without it.
"""

import inspect
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import diffrax
import equinox as eqx


def without_checks(function: Callable) -> Callable:
    """The same function, in which `eqxi.error_if` lets everything pass.

    Only names in the body of `function` itself are meant, not in what it calls.
    """
    plain: Any = inspect.unwrap(function)
    names = dict(plain.__globals__)
    internals = dict(vars(names["eqxi"]), error_if=lambda x, pred, msg: x)
    names["eqxi"] = SimpleNamespace(**internals)
    copy = FunctionType(
        plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__
    )
    copy.__kwdefaults__ = plain.__kwdefaults__
    return copy


# A `Clock` has checked the times, and `dt0` points the way that they run.
diffeqsolve = eqx.filter_jit(without_checks(diffrax.diffeqsolve))


class KnownSteps(diffrax.StepTo):
    """Steps to times that were checked before."""

    wrap = without_checks(diffrax.StepTo.wrap)
    init = without_checks(diffrax.StepTo.init)
