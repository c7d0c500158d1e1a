"""A posterior as a table of its entries, for a terminal and for a notebook."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from .._check import as_jax, check_counts, check_key, evaluated
from .._compute import fold_in
from .._model import (
    column_text,
    entry_name,
    flatten_means,
    free_columns,
    get_parameters,
    has_values,
    spell,
    table_html,
)
from .._parameter import AbstractParameter
from .._special import quantiles
from .base import AbstractPosterior
from .mean_field import as_posterior

# With more uncertain entries than this, parameters of more than a few have one line
# each, or all of them if there are too many.
MOST_LINES, FEW_LINES = 40, 8
# Draws where no formula is known, fewer where they would hold more numbers than this.
NUM_DRAWS, FEWEST_DRAWS, MOST_NUMBERS = 4_000, 100, 2**24
WIDTH = 88
CHECKS = {
    "r_hat": ("R-hat", ".3f"),
    "ess_bulk": ("bulk", ".0f"),
    "ess_tail": ("tail", ".0f"),
}


@dataclass(frozen=True, eq=False)
class PosteriorRow:
    """One entry of a `PosteriorTable`, or one parameter with all its entries.

    Attributes:
        name: `rates[0]` of an entry, `rates` of a parameter.
        mean: The mean of the value: one number, or in the shape of the parameter.
        stdv: Its standard deviation, alike; 0 of what is known.
        quantiles: Its quantiles, `(k,)` or `(k, *shape)`.
        is_known: Whether it is taken as known.
        checks: What the engine says of it, by name: `"r_hat"`, `"ess_bulk"` and
            `"ess_tail"` of chains.

    Example:
        ```python
        table = bjm.posterior_table(bjm.make_parameter([0.5, 0.03], stdv=0.01))
        table.rows[1].name  # "parameter[1]"
        table.rows[1].mean  # 0.03
        ```
    """

    name: str
    mean: Float[np.ndarray, "..."]
    stdv: Float[np.ndarray, "..."]
    quantiles: Float[np.ndarray, "k ..."]
    is_known: bool
    checks: dict[str, Float[np.ndarray, "..."]] = field(default_factory=dict)

    def entries(self) -> list["PosteriorRow"]:
        """A row for each entry of a parameter, in row-major order."""
        return [
            PosteriorRow(
                entry_name(self.name, i),
                np.asarray(self.mean[i]),
                np.asarray(self.stdv[i]),
                self.quantiles[(slice(None), *i)],
                self.is_known,
                {name: np.asarray(check[i]) for name, check in self.checks.items()},
            )
            for i in np.ndindex(self.mean.shape)
        ]

    def cells(self, checks: Sequence[str]) -> list[str]:
        """What stands under the headings."""
        name = self.name or entry_name("", ())
        if self.is_known:
            return [name, _range(self.mean), "known", *[""] * len(self.quantiles)] + [
                "" for _ in checks
            ]
        numbers = [self.mean, self.stdv, *self.quantiles]
        found = [_range(self.checks[check], CHECKS[check][1]) for check in checks]
        return [name, *(_range(np.asarray(x)) for x in numbers), *found]


@dataclass(frozen=True, eq=False)
class PosteriorTable:
    """What `posterior_table` returns: it prints as a table, in notebooks too.

    Attributes:
        parameters: A row for each parameter, in the order of the pytree; its numbers
            are arrays in the shape of the parameter.
        probs: The probabilities of the quantiles.
        notes: What stands below: where the numbers are from, and what the engine says.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0], support="positive", stdv=0.1)
        table = bjm.posterior_table({"rates": rates}, probs=(0.5,))
        [row.name for row in table.rows]  # ["['rates'][0]", "['rates'][1]"]
        table.rows[0].quantiles  # [0.5]
        table.rows[0].mean  # 0.5025: of a log-normal distribution
        ```
    """

    parameters: tuple[PosteriorRow, ...]
    probs: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[PosteriorRow, ...]:
        """A row for each entry, whose numbers are scalars."""
        return tuple(entry for row in self.parameters for entry in row.entries())

    def __str__(self) -> str:
        headings, lines, left_out = self._lines()
        below = [*left_out, *self.notes]
        wrapped = [line for note in below for line in textwrap.wrap(note, WIDTH)]
        return column_text(headings, lines, wrapped, to_the_right=headings[1:])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        headings, lines, left_out = self._lines()
        return table_html(headings, lines, ". ".join([*left_out, *self.notes]))

    def _lines(self) -> tuple[list[str], list[list[str]], list[str]]:
        """The headings, the cells, and what is not shown of it."""
        uncertain = [row for row in self.parameters if not row.is_known]
        present = {name for row in uncertain for name in row.checks}
        checks = [name for name in CHECKS if name in present]
        names = [CHECKS[name][0] for name in checks]
        headings = ["name", "mean", "sd", *(f"{100 * p:.3g}%" for p in self.probs)]
        count = sum(row.mean.size for row in uncertain)
        rows, left_out = list(self.parameters), []
        whole = _in_one_line(uncertain)
        rows = [
            part
            for row in rows
            for part in ([row] if row.is_known or row.name in whole else row.entries())
        ]
        if whole:
            left_out = [
                f"{count:,} entries of {len(uncertain)} parameters, of "
                f"{_listed(whole, uncertain)} the least and the greatest number: "
                "`rows` has all of them"
            ]
        if len(rows) > MOST_LINES:
            left_out.append(f"{len(rows) - MOST_LINES} more parameters are not shown")
        lines = [row.cells(checks) for row in rows[:MOST_LINES]]
        return [*headings, *names], lines, left_out


def posterior_table(
    posterior: PyTree,
    *,
    probs: Sequence[float] = (0.05, 0.5, 0.95),
    key: PRNGKeyArray | None = None,
    num_samples: int | None = None,
) -> PosteriorTable:
    """Summarise a posterior entry by entry: mean, sd, quantiles, and the verdict.

    Numbers are of `value`, what a model computes with. Of a posterior made of draws
    they are those of its draws with their weights. Of a normal distribution they are
    exact, inside of a support too. Of others the quantiles, and what has no closed
    form, are from draws with a fixed key, so that they print the same again. Of chains
    there are R-hat and the effective draws of bulk and tail, as `NUTSDiagnostics` has
    them. `print(posterior)` and a notebook show this table.

    Args:
        posterior: A model with parameters (mean-field), or any posterior.
        probs: The probabilities of the quantiles, each in (0, 1).
        key: A JAX random key for draws; always the same if `None`.
        num_samples: How many draws where they are needed; 4,000 if `None`, or fewer of
            a large model.

    Returns:
        The table: print it, or read its `rows`. What is known is marked. Of more than
        40 entries, parameters with many have one line each.

    Raises:
        TypeError: If it has no values, as under `jax.jit`, or is a `MAPEstimate`.
        ValueError: If `probs` are not in (0, 1) or `num_samples` is below 1.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0])
        draws = jnp.array([[0.4, 1.9], [0.5, 2.0], [0.6, 2.3]])  # of another sampler
        posterior = bjm.DrawsPosterior({"k": rates}, draws)
        first, second = bjm.posterior_table(posterior).rows
        first.name, first.stdv  # ("['k'][0]", 0.0816)
        second.quantiles  # [1.91, 2.00, 2.27]
        ```
    """
    posterior = as_posterior(posterior)
    if not has_values(posterior):
        raise TypeError(
            "`posterior` has no values here: it is traced by JAX, or made of shapes "
            "alone. Call `posterior_table` outside of `jax.jit` and other "
            "transformations."
        )
    if not all(0 < prob < 1 for prob in probs):
        raise ValueError(f"`probs` must be numbers in (0, 1), but got {probs}.")
    check_counts(num_samples=num_samples)
    with evaluated():
        return _tabulate(posterior, tuple(probs), key, num_samples)


def _in_one_line(uncertain: list[PosteriorRow]) -> set[str]:
    """The large parameters, if not all of their entries have a line of their own."""
    if sum(row.mean.size for row in uncertain) <= MOST_LINES:
        return set()
    large = {row.name for row in uncertain if row.mean.size > FEW_LINES}
    left = sum(row.mean.size for row in uncertain if row.name not in large)
    if left + len(large) <= MOST_LINES:
        return large
    return {row.name for row in uncertain if row.mean.size > 1}


def _listed(whole: set[str], uncertain: list[PosteriorRow]) -> str:
    names = [row.name for row in uncertain if row.name in whole]
    return "each" if len(names) == len(uncertain) else ", ".join(names)


def _tabulate(
    posterior: AbstractPosterior,
    probs: tuple[float, ...],
    key: PRNGKeyArray | None,
    num_samples: int | None,
) -> PosteriorTable:
    parameters = get_parameters(posterior.model)
    num_items, weights, source = posterior.num_items, None, []
    moments, is_normal = _moments(posterior), posterior.normal_parameters()
    if num_items is not None:
        moments, is_normal = None, [False] * len(parameters)
        if posterior.item_weights is not None:
            weights = np.asarray(posterior.item_weights, np.float64)
            weights = weights / weights.sum()
        source = [_of_items(posterior, weights)]
    is_normal = [normal and moments is not None for normal in is_normal]
    drawn = None
    if not all(
        normal or p.is_known or p.mean.size == 0
        for normal, p in zip(is_normal, parameters.values(), strict=True)
    ):
        if num_items is None:
            size = max(1, sum(p.mean.size for p in parameters.values()))
            fewer = max(FEWEST_DRAWS, MOST_NUMBERS // size)
            num_samples = num_samples or min(NUM_DRAWS, fewer)
            made = jax.random.key(0) if key is None else check_key(key)
            indices = fold_in(made, np.arange(num_samples))
            source = [f"{_kind(posterior)}: from {num_samples:,} draws"]
        else:
            indices = as_jax(np.arange(num_items))
        drawn = _values_of_draws(posterior, indices)
    elif num_items is None:
        source = [f"{_kind(posterior)}: numbers in closed form"]
    checks, rows = _checks(posterior, parameters), []
    for index, (name, p) in enumerate(parameters.items()):
        own = None if moments is None else moments[index]
        if own is not None and is_normal[index]:
            mean, stdv, of_probs = _of_normal(p, own[0], own[1], probs)
        elif drawn is None:  # known
            mean = np.asarray(p.value, np.float64)
            stdv = np.zeros_like(mean)
            of_probs = np.broadcast_to(mean, (len(probs), *mean.shape))
        else:
            values = np.asarray(drawn[index], np.float64)
            mean, stdv, of_probs = _of_draws(values, weights, probs)
            if own is not None and p.support is None:
                mean, stdv = own
        known = p.is_known and not np.any(stdv)
        of_engine = {} if known else checks[index]
        rows.append(PosteriorRow(name, mean, stdv, of_probs, known, of_engine))
    return PosteriorTable(tuple(rows), probs, (*source, *posterior.notes()))


def _moments(
    posterior: AbstractPosterior,
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Mean and standard deviation of each parameter in closed form, if they are known.

    Those of numbers without a support, or unconstrained.
    """
    if posterior.num_items is not None:
        return None
    try:
        found = posterior.flatten_means(), posterior.flatten_stdvs()
    except (TypeError, ValueError, NotImplementedError):
        return None
    is_free = np.asarray(free_columns(posterior.model), bool)
    whole = [flatten_means(posterior.model), np.zeros(is_free.size)]
    whole = [np.array(x, np.float64) for x in whole]
    for vector, x in zip(found, whole, strict=True):
        x[is_free if vector.size < is_free.size else slice(None)] = vector
    mean, stdv = (_by_parameter(posterior, x) for x in whole)
    return list(zip(mean, stdv, strict=True))


def _by_parameter(
    posterior: AbstractPosterior, entries: Float[np.ndarray, " n"]
) -> list[np.ndarray]:
    """A vector of all entries, taken apart."""
    shapes = [p.shape for p in get_parameters(posterior.model).values()]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = np.split(entries, ends[:-1]) if shapes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _checks(
    posterior: AbstractPosterior, parameters: dict[str, AbstractParameter]
) -> list[dict[str, np.ndarray]]:
    """What the engine says of the entries of each parameter that it inferred."""
    is_free = np.asarray(free_columns(posterior.model), bool)
    checks = {
        name: np.full(is_free.size, np.nan)
        for name, check in posterior.of_entries().items()
        if name in CHECKS and np.shape(check) == (is_free.sum(),)
    }
    for name, whole in checks.items():
        whole[is_free] = posterior.of_entries()[name]
    apart = {name: _by_parameter(posterior, whole) for name, whole in checks.items()}
    return [{name: x[i] for name, x in apart.items()} for i in range(len(parameters))]


@eqx.filter_jit
def _values_of_draws(posterior: AbstractPosterior, indices: Array) -> list[Array]:
    """The values of each parameter: of the draws that there are, or of new ones."""
    draw = posterior.draw if posterior.num_items is None else posterior.item

    def values(index):
        return [p.value for p in get_parameters(draw(index)).values()]

    return jax.vmap(values)(indices)


def _of_draws(
    values: Float[np.ndarray, "n ..."],
    weights: Float[np.ndarray, " n"] | None,
    probs: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and quantiles of draws."""
    shares = np.full(len(values), 1 / len(values)) if weights is None else weights
    mean = np.asarray(np.tensordot(shares, values, axes=1))
    stdv = np.sqrt(np.tensordot(shares, (values - mean) ** 2, axes=1))
    # Rounding makes no width.
    varies = np.ptp(values, axis=0) > 0
    mean = np.asarray(np.where(varies, mean, values[0]))
    stdv = np.asarray(np.where(varies, stdv, 0))
    return mean, stdv, quantiles(values, weights, np.asarray(probs, float))


def _of_normal(
    parameter: AbstractParameter,
    mean: Float[np.ndarray, "..."],
    stdv: Float[np.ndarray, "..."],
    probs: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of the value, where the unconstrained number is normal."""
    support, dtype = parameter.support, parameter.mean.dtype

    def at(z):
        x = mean + stdv * np.reshape(z, (-1, *[1] * mean.ndim))
        if support is None:
            return x
        values = jax.vmap(support.value)(jnp.asarray(x, dtype))
        return np.asarray(values, np.float64)

    found = at([NormalDist().inv_cdf(prob) for prob in probs])
    if support is None:
        return mean, stdv, found
    nodes, weights = np.polynomial.hermite.hermgauss(40)
    return *_of_draws(at(2**0.5 * nodes), weights / np.pi**0.5, ())[:2], found


def _of_items(
    posterior: AbstractPosterior, weights: Float[np.ndarray, " n"] | None
) -> str:
    """How many draws there are, and what they are worth."""
    words = f"{_kind(posterior)}: {posterior.num_items:,} draws"
    num_chains, length = posterior.chains
    if num_chains > 1 and num_chains * length == posterior.num_items:
        words += f" in {num_chains} chains"
    if weights is not None:
        words += f" with weights, worth {1 / np.sum(weights**2):,.0f} of equal weight"
    return words


def _kind(posterior: AbstractPosterior) -> str:
    return type(posterior).__name__


def _range(values: Float[ArrayLike, "..."], style: str = ".3g") -> str:
    """One number, or the least and the greatest."""
    values = np.asarray(values)
    if values.size <= 1:
        return spell(values, style)
    low, high = f"{values.min():{style}}", f"{values.max():{style}}"
    return low if low == high else f"{low} to {high}"
