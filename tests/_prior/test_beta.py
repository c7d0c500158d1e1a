import pytest
import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision, keeps_its_digits


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(
        bjm.priors.Beta(2.0, 1e6), 3e-6, scipy.stats.beta(2.0, 1e6)
    )


@pytest.mark.parametrize(
    ("prior", "exact", "values"),
    [
        (bjm.priors.Beta(1e5, 1e5), scipy.stats.beta(1e5, 1e5), [0.499, 0.5, 0.501]),
        (bjm.priors.Beta(2.0, 1e5), scipy.stats.beta(2, 1e5), [1e-6, 1e-5, 1e-4]),
        (bjm.priors.Beta(1e5, 1.0), scipy.stats.beta(1e5, 1), [0.9999, 0.99999, 1.0]),
    ],
)
def test_large_concentrations_in_single_precision(prior, exact, values):
    keeps_its_digits(prior, exact, values)
