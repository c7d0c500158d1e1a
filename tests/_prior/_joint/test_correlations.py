"""Correlation matrices against NumPy."""

import numpy as np
import pytest

import BayesianJaxModels as bjm


def test_correlations_are_proper(x64):
    partials = np.array([0.5, -0.3, 0.8, 0.1, 0.2, -0.7])
    factor = np.asarray(bjm.correlation_factor(partials))
    correlation = factor @ factor.T
    assert np.allclose(np.diagonal(correlation), 1)
    assert np.all(np.linalg.eigvalsh(correlation) > 0)
    assert np.isclose(correlation[1, 0], 0.5)
    # The third given the first, of the second and the third.
    r = correlation
    partial = (r[2, 1] - r[2, 0] * r[1, 0]) / np.sqrt(
        (1 - r[2, 0] ** 2) * (1 - r[1, 0] ** 2)
    )
    assert np.isclose(partial, 0.8)
    with pytest.raises(ValueError, match="but have shape"):
        bjm.correlation_factor(np.zeros(2))
