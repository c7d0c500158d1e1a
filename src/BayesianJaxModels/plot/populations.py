"""Many subjects at once: what might have been seen of others, and each by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._calibrate import quantiles_by_time
from .._predict import Prediction
from .._problem import Population
from .axes import axes_to_draw_into, pyplot_or_error
from .predictions import prediction as draw_prediction


def predictive_check(
    prediction: Any,
    *,
    bins: Any = 8,
    probs: Sequence[float] = (0.05, 0.5, 0.95),
    mass: float = 0.9,
    ax: Any = None,
    colour: Any = "C0",
    legend: bool = True,
) -> Any:
    """Draw quantiles of data by time, and where those of simulated data lie.

    A visual predictive check (Karlsson & Holford 2008, PAGE 17, abstract 1434): in each
    bin of time the quantiles of the data, over all subjects, beside bands of the same
    quantiles of data that each draw makes. Of a `Population` predict with
    `subjects="new"`: others with the same times, doses and covariates.

    Args:
        prediction: From `predict`, with data beside it.
        bins: How many bins of time, with about as many data each, or their edges.
        probs: The probabilities of the quantiles.
        mass: How much of the draws each band holds.
        ax: A matplotlib axes to draw into.
        colour: A matplotlib colour of the bands.
        legend: Whether to draw one.

    Returns:
        The matplotlib axes.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If there is no `Prediction`.
        ValueError: If there are no data or no times, not one number at each of them, a
            bin of time is empty, or data lie in none.

    Example:
        ```python
        ts = np.linspace(0.0, 3.0, 20)
        rate = bjm.make_parameter(0.5, stdv=0.1, support="positive")
        problem = bjm.Problem(
            bjm.Solve(ts, y0=1.0, vector_field=lambda m: lambda t, y, _: -m.value * y),
            likelihood=bjm.likelihoods.NormalLikelihood(0.05),
            observations=np.exp(-0.5 * ts),
            prior=None,
        )
        found = bjm.predict(problem, rate, key=jax.random.key(0), num_samples=100)
        axes = plot.predictive_check(found, bins=4)
        axes.get_xlabel()  # 'time'
        ```
    """
    pyplot = pyplot_or_error()
    if not isinstance(prediction, Prediction):
        raise TypeError(
            "`prediction` must be a `Prediction`, from `predict`, but is a "
            f"{type(prediction).__name__}."
        )
    found = quantiles_by_time(prediction, bins, probs)
    [axes] = axes_to_draw_into(pyplot, ax, 1)
    axes.plot(found.times, found.data, ".", color="0.7", ms=4, label="data")
    low, high = found.band(mass)
    for index, prob in enumerate(probs):
        label = f"{100 * mass:g} % of simulated quantiles" if index == 0 else None
        axes.fill_between(
            found.centres,
            low[index],
            high[index],
            color=colour,
            alpha=0.25,
            lw=0,
            label=label,
        )
        axes.plot(
            found.centres,
            found.observed[index],
            "-" if prob == 0.5 else "--",
            color="k",
            lw=1.2,
            label=f"{100 * prob:g} % of the data",
        )
    axes.set(xlabel="time", ylabel="y")
    if legend:
        axes.legend(fontsize="small")
    return axes


def subjects(
    prediction: Any,
    population: Any,
    *,
    columns: int = 4,
    ax: Any = None,
    colour: Any = "C0",
) -> list[Any]:
    """Draw each subject of a population by itself, beside its data.

    Args:
        prediction: From `predict` of the population, at times of your own or those of
            the data.
        population: The `Population`, for the data and the names.
        columns: How many stand in a row.
        ax: As many matplotlib axes as there are subjects, to draw into.
        colour: A matplotlib colour.

    Returns:
        The matplotlib axes, one for each subject.

    Raises:
        ImportError: If matplotlib is missing.
        TypeError: If `prediction` or `population` is something else.
        ValueError: If the prediction is not of as many subjects, or `ax` not as many.

    Example:
        ```python
        def problem_of(subject):
            def mean(drawn):
                return drawn["effects"].value + 0 * subject.ts

            noise = bjm.likelihoods.NormalLikelihood(0.5)
            return bjm.Problem(mean, noise, subject.observations, prior=None)

        around = bjm.priors.Normal(lambda m: m["typical"].value, 1.0)
        prior = {"['typical']": bjm.priors.Normal(), "['effects']": around}
        seen = [bjm.Subject([0.0, 1.0], [y, y + 0.5]) for y in (0.0, 1.0, 2.0)]
        population = bjm.Population(
            problem_of, seen, prior=bjm.Prior(prior), effects="['effects']"
        )
        zeros = {"typical": np.zeros(()), "effects": np.zeros(3)}
        model = jax.tree.map(lambda x: bjm.make_parameter(x, stdv=0.5), zeros)
        found = bjm.predict(population, model, key=jax.random.key(0), num_samples=100)
        len(plot.subjects(found, population, columns=3))  # 3
        ```
    """
    pyplot = pyplot_or_error()
    if not isinstance(prediction, Prediction) or not isinstance(population, Population):
        raise TypeError(
            "`subjects` takes a `Prediction` and the `Population` that it is of, but "
            f"got a {type(prediction).__name__} and a {type(population).__name__}."
        )
    names = population.names
    shape = np.shape(prediction.observables)[1:2]
    if shape != (len(names),):
        raise ValueError(
            f"`prediction` is of {shape[0] if shape else 'no'} subjects, but "
            f"`population` has {len(names)}."
        )
    if ax is None:
        rows = -(-len(names) // columns)
        size = (2.4 * columns, 1.8 * rows)
        _, grid = pyplot.subplots(
            rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True
        )
        grid = np.ravel(np.asarray(grid, dtype=object))
        for spare in grid[len(names) :]:
            spare.set_visible(False)
        ax = grid[: len(names)]
    all_axes = axes_to_draw_into(pyplot, ax, len(names))
    times, data = population.ts, population.observations
    for index, (name, axes) in enumerate(zip(names, all_axes, strict=True)):
        draw_prediction(
            prediction,
            entry=index,
            ax=axes,
            colour=colour,
            legend=False,
            data=(times[index], data[index]) if prediction.is_ahead else None,
        )
        axes.set_title(name, fontsize="small")
        axes.set(xlabel="", ylabel="")
    return all_axes
