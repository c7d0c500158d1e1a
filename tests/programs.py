"""What a traced program consists of."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.extend


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a jaxpr and of the ones inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if isinstance(inner, jax.extend.core.Jaxpr):
                yield from equations(inner)


def calls_of_the_host(fn: Any, *args: Any) -> list[str]:
    """The names of the primitives by which a traced function calls Python back."""
    found = equations(jax.make_jaxpr(fn)(*args).jaxpr)
    names = [equation.primitive.name for equation in found]
    return [name for name in names if "callback" in name or "outside_call" in name]
