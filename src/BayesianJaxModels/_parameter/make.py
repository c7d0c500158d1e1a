"""The usual way to make a parameter."""

from dataclasses import fields
from typing import Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._check import as_float_array, check_broadcast, check_finite
from .base import AbstractParameter
from .deterministic import DeterministicParameter
from .gaussian import GaussianParameter
from .interval import Interval, as_support

_RAW = "init_raw_stdv"


def make_parameter(
    value: Any,
    *,
    bayesian: bool = True,
    param_type: type = GaussianParameter,
    stdv: Any = None,
    init_raw_stdv: Any = None,
    support: Any = None,
) -> AbstractParameter:
    """Make a parameter located at a value.

    Args:
        value: The location: a finite real number or an array of them, of any shape,
            inside the `support`. Integers become floats.
        bayesian: Whether the parameter has a distribution; if not, the result is a
            `DeterministicParameter`, whatever `param_type` says.
        param_type: The kind of distribution: a subclass of `AbstractParameter`, one of
            your own included.
        stdv: The standard deviation, in the unit of `value`: one number, or an array
            that broadcasts to the shape of `value` where scales differ. Above 1e-4, the
            least that there is (`sqrt(2)` times as much for a `LaplacianParameter`).
            Where there is a `support`, that of the unconstrained number: of the
            logarithm of what is positive, so 0.1 is 10 %.
        init_raw_stdv: The unconstrained width instead, in a shape as above; 0.01 if
            neither is given. The standard deviation (the scale, for a
            `LaplacianParameter`) is `init_raw_stdv**2 + 1e-4`, so 2e-4 for 0.01.
        support: The values that the parameter may have: `"positive"`; a pair of ends
            `(low, high)`, numbers or arrays that broadcast to `value`, infinite or
            `None` where there is none; or `None` for any real number.

    Returns:
        A parameter whose `value` is `value`. So is its `mean`, unless there is a
        `support`: then it is the unconstrained number that stands for it, the
        logarithm of a positive one.

    Raises:
        TypeError: If `value`, `stdv` or `init_raw_stdv` is not made of real numbers, or
            `param_type` is not a parameter type, or `support` is something else.
        ValueError: If an entry of `value` or `init_raw_stdv` is not finite (under
            `jax.jit`, all are NaN), `value` is not inside of `support` (under
            `jax.jit`, it is NaN), both widths are given, a width or an end has a shape
            that does not fit, or `stdv` is too small (under `jax.jit`, the widths are
            NaN).
        NotImplementedError: If `stdv` is given and a type of your own has no
            `with_stdv`.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 0.03], stdv=[0.1, 0.002])
        rates.stdv  # [0.100, 0.002]
        bjm.make_parameter([0.5, 0.03], init_raw_stdv=0.2).stdv  # [0.0401, 0.0401]
        rates = bjm.make_parameter([0.5, 0.03], support="positive", stdv=0.1)
        rates.value, rates.mean  # ([0.500, 0.030], [-0.693, -3.507])
        bjm.make_parameter(0.9, support=(0.0, 1.0)).mean  # 2.197
        ```
    """
    if not (isinstance(param_type, type) and issubclass(param_type, AbstractParameter)):
        raise TypeError(
            "`param_type` must be a subclass of `AbstractParameter`, but got "
            f"{param_type!r}."
        )
    if not bayesian:
        param_type = DeterministicParameter
    if stdv is not None and init_raw_stdv is not None:
        raise ValueError(
            "`stdv` and `init_raw_stdv` both say how wide the parameter is. Pass one."
        )
    value = check_finite("value", as_float_array(value, "value"))
    raw = as_float_array(0.01 if init_raw_stdv is None else init_raw_stdv, _RAW)
    check_broadcast(_RAW, raw, value.shape)
    interval = as_support(support)
    if interval is not None:
        value = _placed_in(interval, value)
    parameter = param_type.from_value(value, check_finite(_RAW, raw))
    parameter = parameter if stdv is None else parameter.with_stdv(stdv)
    return parameter if interval is None else _supported(parameter, interval)


def _placed_in(support: Interval, value: Array) -> Array:
    """The unconstrained numbers that stand for values inside a support."""
    for end in support.ends:
        check_broadcast("support", end, value.shape)
    if not isinstance(value, Tracer) and not np.all(inside := support.has(value)):
        outside = np.asarray(value)[~inside].tolist()
        raise ValueError(
            f"`value` must be inside of its `support` {support} and not at an end, but "
            f"{outside} is not."
        )
    return support.unconstrained(value)


def _supported(parameter: AbstractParameter, support: Interval) -> AbstractParameter:
    """The same with a support, also of a type whose `__init__` takes none."""
    own = {field.name: getattr(parameter, field.name) for field in fields(parameter)}
    supported = object.__new__(type(parameter))
    for name, value in (own | {"support": support}).items():
        object.__setattr__(supported, name, value)
    return supported
