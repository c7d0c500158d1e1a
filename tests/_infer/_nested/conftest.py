"""One population of lines, fitted once."""

import pytest

import BayesianJaxModels as bjm
from tests._infer._nested.lines import exact, population_of, subjects_of


@pytest.fixture(scope="session")
def lines():
    """Subjects, the population, a model, and what is exactly known of it."""
    subjects = subjects_of(7)
    return subjects, *population_of(subjects), exact(subjects)


@pytest.fixture(scope="session")
def fit(lines):
    """The nested Laplace approximation, which is exact here."""
    _, population, model, _ = lines
    return bjm.nested_laplace(population, model)
