"""A model as a table of its parameters, for a terminal and for a notebook."""

import html
from collections.abc import Container, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, PyTree

from .._check import evaluated
from .._parameter import AbstractParameter
from .estimate import AbstractEstimate
from .introspect import get_parameters

HEADINGS = ("name", "type", "shape", "count", "mean")
MOST_VALUES = 4  # spelt one by one; of more, the least and the greatest


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of a `ParameterTable`.

    Attributes:
        name: As in `get_parameters`.
        type: The name of its class; in the table of a posterior, of that.
        mean: The means, in the shape of the parameter. Of one with a `support`, the
            values at the means; in the table of a posterior, the means of the values.
        stdv: The standard deviations, in the same shape; NaN where none were fitted. Of
            one with a `support`, those of the value: of a model to first order.

    Example:
        ```python
        model = {"rates": bjm.make_parameter([0.5, 0.03])}
        [row] = bjm.parameter_table(model).rows
        row.name, row.mean  # ("['rates']", [0.5, 0.03])
        ```
    """

    name: str
    type: str
    mean: Float[np.ndarray, "..."]
    stdv: Float[np.ndarray, "..."]

    def cells(self) -> tuple[str, ...]:
        """What stands under the headings."""
        shape = " x ".join(map(str, self.mean.shape)) or "scalar"
        count = f"{self.mean.size:,}"
        return self.name, self.type, shape, count, spell(self.mean), spell(self.stdv)


@dataclass(frozen=True)
class ParameterTable:
    """What `parameter_table` returns: it prints as a table, in notebooks too.

    Attributes:
        rows: One `ParameterRow` for each parameter, in the order of the pytree.
        width: The heading of the last column: `"own sd"` for the widths that parameters
            carry, `"sd"` for those of a posterior.

    Example:
        ```python
        table = bjm.parameter_table(bjm.make_parameter([0.5, 0.03], bayesian=False))
        table.total  # '2 numbers in 1 parameter, 0 of them uncertain'
        ```
    """

    rows: tuple[ParameterRow, ...]
    width: str = "own sd"

    @property
    def total(self) -> str:
        """How many numbers there are, and how many of them have a width."""
        count = sum(row.mean.size for row in self.rows)
        uncertain = sum(int(np.sum(row.stdv > 0)) for row in self.rows)
        plural = "" if len(self.rows) == 1 else "s"
        return (
            f"{count:,} numbers in {len(self.rows)} parameter{plural}, "
            f"{uncertain:,} of them uncertain"
        )

    def __str__(self) -> str:
        headings = (*HEADINGS, self.width)
        rows = [row.cells() for row in self.rows]
        return column_text(headings, rows, [self.total], to_the_right={"count"})

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [row.cells() for row in self.rows]
        return table_html((*HEADINGS, self.width), rows, self.total)


def parameter_table(model: PyTree) -> ParameterTable:
    """List the parameters of a model: name, type, shape, count, mean and sd.

    Of more than four numbers the table shows the least and the greatest. `print(model)`
    and a notebook show the table of a `Module`; `repr(model)` is the structure. The
    column "own sd" has the widths that the parameters carry. Those of a drawn model,
    such as `map_estimate(...).model`, say nothing of the draw. A parameter with a
    `support` is shown by its value: that at its mean, with the sd to first order, or
    of a posterior the mean and sd of values, as `posterior_table` has them.

    Args:
        model: Any pytree with parameters, or a posterior: then its means and standard
            deviations. Those of a `MAPEstimate` are "not fitted".

    Returns:
        The table: print it, or read its `rows`.

    Raises:
        TypeError: If the model has no values, as under `jax.jit`.

    Example:
        ```python
        mlp = bjm.BayesianMLP(2, 1, width=16, depth=1, key=jax.random.key(0))
        print(bjm.parameter_table(mlp))
        ```
    """
    if not has_values(model):
        raise TypeError(
            "`model` has no values here: it is traced by JAX, or made of shapes alone. "
            "Call `parameter_table` outside of `jax.jit` and other transformations."
        )
    if isinstance(model, AbstractEstimate):
        return _table_of(model)
    with evaluated():
        rows = [_row(name, p) for name, p in get_parameters(model).items()]
    return ParameterTable(tuple(rows))


def _table_of(estimate: AbstractEstimate) -> ParameterTable:
    names, kind = get_parameters(estimate.model), type(estimate).__name__
    moments = estimate.moments_of_values()
    rows = (
        ParameterRow(name, kind, mean, stdv)
        for name, (mean, stdv) in zip(names, moments, strict=True)
    )
    return ParameterTable(tuple(rows), width="sd")


def _row(name: str, parameter: AbstractParameter) -> ParameterRow:
    stdv, support = parameter.stdv, parameter.support
    if support is not None:
        stdv = stdv * jnp.exp(support.log_slope(parameter.mean))
    kind = type(parameter).__name__
    return ParameterRow(name, kind, np.asarray(parameter.value), np.asarray(stdv))


def has_values(model: PyTree) -> bool:
    """Whether the arrays of a model are there, not only their shapes."""
    shapes = (Tracer, jax.ShapeDtypeStruct)
    return not any(isinstance(leaf, shapes) for leaf in jax.tree.leaves(model))


def entry_name(name: str, index: tuple[int, ...]) -> str:
    """What an entry of a parameter is called: `rates[0]`, `W[0, 1]`."""
    place = f"[{', '.join(map(str, index))}]" if index else ""
    return (name or "parameter") + place


def spell(values: Float[np.ndarray, "..."], style: str = ".3g") -> str:
    """Few numbers one by one; of more, the least and the greatest."""
    if np.isnan(values).all() and values.size > 0:
        return "not fitted"
    if values.size <= MOST_VALUES:
        return ", ".join(f"{value:{style}}" for value in values.ravel())
    low, high = f"{values.min():{style}}", f"{values.max():{style}}"
    return low if low == high else f"{low} to {high}"


def column_text(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    below: Sequence[str],
    to_the_right: Container[str],
) -> str:
    """A table for a terminal, with lines below it."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    spelt = [
        "  ".join(
            cell.rjust(width) if heading in to_the_right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([spelt[0], rule, *spelt[1:], rule, *below])


def table_html(
    headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str
) -> str:
    """A table for a notebook."""

    def line(cells: Sequence[str], tag: str) -> str:
        spelt = (f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr>{''.join(spelt)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead>{line(headings, 'th')}</thead><tbody>{body}</tbody></table>"
    )
