"""Names that have moved from the top level into a namespace."""

import importlib
import warnings
from typing import Any

NAMESPACES = ("priors", "likelihoods", "train", "calibration")


def __getattr__(name: str) -> Any:
    """What has moved to a namespace, with a word on where it is now.

    Raises:
        AttributeError: If there is no such name.
    """
    package = __package__ or ""
    for namespace in NAMESPACES:
        members = vars(importlib.import_module(f"{package}.{namespace}"))
        if name in members and not name.startswith("_"):
            warnings.warn(
                f"`{package}.{name}` is `{package}.{namespace}.{name}` now.",
                DeprecationWarning,
                stacklevel=2,
            )
            return members[name]
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
