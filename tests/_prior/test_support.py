import pytest

import BayesianJaxModels as bjm


def test_ends_that_are_not_in_order_are_named():
    for kind in (bjm.priors.TruncatedNormal, bjm.priors.Uniform):
        with pytest.raises(ValueError, match="`low` must be below `high`"):
            kind(low=1.0, high=0.5)
