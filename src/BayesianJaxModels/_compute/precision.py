"""Matrix products at full precision, whatever a GPU's default is."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax


def full_precision(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, traced so that products of float32 matrices keep all of float32.

    The default of recent GPUs is TF32, which keeps three digits.
    """

    @wraps(fn)
    def precise(*args: Any, **kwargs: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return fn(*args, **kwargs)

    return precise
