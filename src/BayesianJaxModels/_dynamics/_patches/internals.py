"""Copies of functions of diffrax with other internals of Equinox."""

import inspect
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any


def with_internals(function: Callable, **replacements: Any) -> Callable:
    """The same function, to which names of `equinox.internal` mean something else.

    Only in the body of `function` itself, not in what it calls; diffrax's own stays as
    it is.
    """
    plain: Any = inspect.unwrap(function)
    names = dict(plain.__globals__)
    names["eqxi"] = SimpleNamespace(**(vars(names["eqxi"]) | replacements))
    copy = FunctionType(
        plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__
    )
    copy.__kwdefaults__ = plain.__kwdefaults__
    return copy
