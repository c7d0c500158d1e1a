"""The usual way to make a parameter."""

from typing import Any

from .base import AbstractParameter
from .convert import as_float_array, check_finite
from .deterministic import DeterministicParameter
from .gaussian import GaussianParameter


def make_parameter(
    value: Any,
    *,
    bayesian: bool = True,
    param_type: type = GaussianParameter,
    init_raw_stdv: Any = 0.01,
) -> AbstractParameter:
    """Make a parameter located at a value.

    Args:
        value: The location: a finite real number or an array of them, of any shape.
            Integers become floats.
        bayesian: Whether the parameter has a distribution; if not, the result is a
            `DeterministicParameter`, whatever `param_type` says.
        param_type: The kind of distribution: a subclass of `AbstractParameter`, one of
            your own included.
        init_raw_stdv: The unconstrained width that every entry starts with. The
            standard deviation (the scale, for a `LaplacianParameter`) is
            `init_raw_stdv**2 + 1e-4`, in the unit of `value`.

    Returns:
        A parameter with `mean` equal to `value`.

    Raises:
        TypeError: If `value` or `init_raw_stdv` is not made of real numbers, or
            `param_type` is not a parameter type.
        ValueError: If an entry of `value` or `init_raw_stdv` is not finite (under
            `jax.jit`, a `RuntimeError` when it runs), or `init_raw_stdv` is an array
            with axes.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 0.03], init_raw_stdv=0.2)
        rates.stdv  # [0.0401, 0.0401]
        ```
    """
    if not (isinstance(param_type, type) and issubclass(param_type, AbstractParameter)):
        raise TypeError(
            "`param_type` must be a subclass of `AbstractParameter`, but got "
            f"{param_type!r}."
        )
    if not bayesian:
        param_type = DeterministicParameter
    return param_type.from_value(
        check_finite("value", as_float_array(value, "value")),
        check_finite("init_raw_stdv", as_float_array(init_raw_stdv, "init_raw_stdv")),
    )
