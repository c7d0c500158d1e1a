"""A model as a table of its parameters, for a terminal and for a notebook."""

import html
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from .._parameter import AbstractParameter
from .estimate import AbstractEstimate
from .free import free_means, replace_free_means
from .introspect import flatten_means, get_parameters, unflatten_means

HEADINGS = ("name", "type", "shape", "count", "mean")
MOST_VALUES = 4  # spelt one by one; of more, the least and the greatest


@dataclass(frozen=True)
class ParameterRow:
    """One parameter of a `ParameterTable`.

    Attributes:
        name: As in `get_parameters`.
        type: The name of its class; in the table of a posterior, of that.
        mean: The means, in the shape of the parameter. Of one with a `support`, the
            values at the means.
        stdv: The standard deviations, in the same shape; NaN where none were fitted. Of
            one with a `support`, those of the value, to first order.

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
        return self.name, self.type, shape, count, _spell(self.mean), _spell(self.stdv)


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
        lines = [headings, *(row.cells() for row in self.rows)]
        columns = zip(*lines, strict=True)
        widths = [max(map(len, column)) for column in columns]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        spelt = [
            "  ".join(
                cell.rjust(width) if heading == "count" else cell.ljust(width)
                for heading, cell, width in zip(headings, line, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([spelt[0], rule, *spelt[1:], rule, self.total])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str) -> str:
            spelt = (f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{''.join(spelt)}</tr>"

        body = "".join(line(row.cells(), "td") for row in self.rows)
        head = line((*HEADINGS, self.width), "th")
        return (
            f"<table><caption>{self.total}</caption><thead>{head}</thead>"
            f"<tbody>{body}</tbody></table>"
        )


def parameter_table(model: PyTree) -> ParameterTable:
    """List the parameters of a model: name, type, shape, count, mean and sd.

    Of more than four numbers the table shows the least and the greatest. `print(model)`
    and a notebook show the table of a `Module`; `repr(model)` is the structure. The
    column "own sd" has the widths that the parameters carry. Those of a drawn model,
    such as `map_estimate(...).model`, say nothing of the draw. A parameter with a
    `support` is shown by its value: that at its mean, with the sd to first order.

    Args:
        model: Any pytree with parameters, or a posterior: then its means and standard
            deviations. Those of a `MAPEstimate` are "not fitted".

    Returns:
        The table: print it, or read its `rows`.

    Raises:
        TypeError: If the model has no values, as under `jax.jit`, or a posterior does
            not know its means.

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
    rows = (
        _row(name, type(p).__name__, p, p.stdv)
        for name, p in get_parameters(model).items()
    )
    return ParameterTable(tuple(rows))


def _table_of(estimate: AbstractEstimate) -> ParameterTable:
    template, means = estimate.model, estimate.flatten_means()
    has_none = type(estimate).flatten_stdvs is AbstractEstimate.flatten_stdvs
    stdvs = jnp.full_like(means, jnp.nan) if has_none else estimate.flatten_stdvs()
    are_free = means.size == free_means(template).size
    place = replace_free_means if are_free else unflatten_means
    certain = unflatten_means(template, jnp.zeros_like(flatten_means(template)))
    fitted, widths = place(template, means), get_parameters(place(certain, stdvs))
    kind = type(estimate).__name__
    rows = (
        _row(name, kind, p, widths[name].mean)
        for name, p in get_parameters(fitted).items()
    )
    return ParameterTable(tuple(rows), width="sd")


def _row(
    name: str, kind: str, parameter: AbstractParameter, stdv: Float[Array, "..."]
) -> ParameterRow:
    support = parameter.support
    if support is not None:
        stdv = stdv * jnp.exp(support.log_slope(parameter.mean))
    return ParameterRow(name, kind, np.asarray(parameter.value), np.asarray(stdv))


def has_values(model: PyTree) -> bool:
    """Whether the arrays of a model are there, not only their shapes."""
    shapes = (Tracer, jax.ShapeDtypeStruct)
    return not any(isinstance(leaf, shapes) for leaf in jax.tree.leaves(model))


def _spell(values: Float[np.ndarray, "..."]) -> str:
    if np.isnan(values).all() and values.size > 0:
        return "not fitted"
    if values.size <= MOST_VALUES:
        return ", ".join(f"{value:.3g}" for value in values.ravel())
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
