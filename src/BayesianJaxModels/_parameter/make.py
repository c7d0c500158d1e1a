"""The usual way to make a parameter."""

from typing import Any

from .._check import as_float_array, check_broadcast, check_finite
from .base import AbstractParameter
from .deterministic import DeterministicParameter
from .gaussian import GaussianParameter

_RAW = "init_raw_stdv"


def make_parameter(
    value: Any,
    *,
    bayesian: bool = True,
    param_type: type = GaussianParameter,
    stdv: Any = None,
    init_raw_stdv: Any = None,
) -> AbstractParameter:
    """Make a parameter located at a value.

    Args:
        value: The location: a finite real number or an array of them, of any shape.
            Integers become floats.
        bayesian: Whether the parameter has a distribution; if not, the result is a
            `DeterministicParameter`, whatever `param_type` says.
        param_type: The kind of distribution: a subclass of `AbstractParameter`, one of
            your own included.
        stdv: The standard deviation, in the unit of `value`: one number, or an array
            that broadcasts to the shape of `value` where scales differ. Above 1e-4, the
            least that there is (`sqrt(2)` times as much for a `LaplacianParameter`).
        init_raw_stdv: The unconstrained width instead, in a shape as above; 0.01 if
            neither is given. The standard deviation (the scale, for a
            `LaplacianParameter`) is `init_raw_stdv**2 + 1e-4`, so 2e-4 for 0.01.

    Returns:
        A parameter with `mean` equal to `value`.

    Raises:
        TypeError: If `value`, `stdv` or `init_raw_stdv` is not made of real numbers, or
            `param_type` is not a parameter type.
        ValueError: If an entry of `value` or `init_raw_stdv` is not finite (under
            `jax.jit`, a `RuntimeError` when it runs), both widths are given, a width
            has a shape that does not fit, or `stdv` is too small (under `jax.jit`, the
            widths are NaN).
        NotImplementedError: If `stdv` is given and a type of your own has no
            `with_stdv`.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 0.03], stdv=[0.1, 0.002])
        rates.stdv  # [0.100, 0.002]
        bjm.make_parameter([0.5, 0.03], init_raw_stdv=0.2).stdv  # [0.0401, 0.0401]
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
    parameter = param_type.from_value(value, check_finite(_RAW, raw))
    return parameter if stdv is None else parameter.with_stdv(stdv)
