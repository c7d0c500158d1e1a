import pytest
import scipy.stats

import BayesianJaxModels as bjm

from .cases import keeps_its_digits


@pytest.mark.parametrize(
    ("prior", "exact", "values"),
    [
        (
            bjm.priors.Gamma(1e6, 1e6),
            scipy.stats.gamma(1e6, scale=1e-6),
            [0.999, 1.0, 1.001],
        ),
        (
            bjm.priors.Gamma(1e4, 2e4),
            scipy.stats.gamma(1e4, scale=5e-5),
            [0.49, 0.5, 0.52],
        ),
        (
            bjm.priors.InverseGamma(1e5, 1e5),
            scipy.stats.invgamma(1e5, scale=1e5),
            [0.999, 1.0, 1.001],
        ),
    ],
)
def test_large_concentrations_in_single_precision(prior, exact, values):
    keeps_its_digits(prior, exact, values)
