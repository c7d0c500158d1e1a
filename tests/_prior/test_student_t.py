import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(bjm.priors.StudentT(0.5), 1e25, scipy.stats.t(0.5))
