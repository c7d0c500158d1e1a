import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(bjm.priors.HalfCauchy(1.0), 1e25, scipy.stats.halfcauchy)
