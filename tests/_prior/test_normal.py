import numpy as np
import pytest
import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(
        bjm.priors.Normal(0.0, 1e-25), 2e-25, scipy.stats.norm(0.0, 1e-25)
    )


def test_a_width_that_is_none_is_named():
    for width in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"`sd` must be positive, but got {width}"):
            bjm.priors.Normal(0.0, width)
