"""Plots of many subjects: what is drawn, and what is refused."""

import matplotlib.pyplot as plt
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from tests._problem.test_population import MODEL, SUBJECTS, population


@pytest.fixture(scope="module")
def whole():
    means = bjm.flatten_means(MODEL)
    noise = 0.1 * random.normal(random.key(0), (50, means.size))
    return population(), bjm.DrawsPosterior(MODEL, means + noise)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_predictive_check_has_bands_and_lines(whole):
    people, posterior = whole
    found = bjm.predict(
        people, posterior, subjects="new", key=random.key(0), num_samples=50
    )
    axes = plot.predictive_check(found, bins=2, probs=(0.1, 0.5))
    assert len(axes.collections) == 2
    assert len(axes.lines) == 3
    assert axes.lines[2].get_xdata().size == 2
    with pytest.raises(TypeError, match="`prediction` must be a `Prediction`"):
        plot.predictive_check(3)


def test_subjects_have_an_axes_each(whole):
    people, posterior = whole
    found = bjm.predict(people, posterior, key=random.key(0), num_samples=50)
    axes = plot.subjects(found, people, columns=2)
    assert [one.get_title() for one in axes] == ["a", "b"]
    _, few = plt.subplots(3)
    with pytest.raises(ValueError, match="`ax` must be 2 axes"):
        plot.subjects(found, people, ax=few)
    with pytest.raises(TypeError, match="takes a `Prediction` and the `Population`"):
        plot.subjects(people, found)
    with pytest.raises(ValueError, match="is of 2 subjects, but `population` has 1"):
        plot.subjects(found, population(SUBJECTS[:1]))
