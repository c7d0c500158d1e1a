"""Namespaces that are imported late, and names that have moved into one."""

import importlib
import warnings
from typing import Any

NAMESPACES = ("priors", "likelihoods", "train", "calibration")


def __getattr__(name: str) -> Any:
    """A namespace, or what has moved to one, with a word on where it is now.

    Raises:
        AttributeError: If there is no such name.
    """
    package = __package__ or ""
    if name in NAMESPACES:
        return importlib.import_module(f"{package}.{name}")
    # Others ask for such names, as `inspect` does: nothing is imported for them.
    known = () if name.startswith("_") else NAMESPACES
    for namespace in known:
        members = vars(importlib.import_module(f"{package}.{namespace}"))
        if name in members:
            warnings.warn(
                f"`{package}.{name}` is `{package}.{namespace}.{name}` now.",
                DeprecationWarning,
                stacklevel=2,
            )
            return members[name]
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
