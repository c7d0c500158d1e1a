import numpy as np

import BayesianJaxModels as bjm

from ..registry import Traps


def test_methods_are_the_functions(key):
    model = Traps(key)
    for name in (
        "flatten_means",
        "flatten_stdvs",
        "flatten_raw_stdvs",
        "compute_prior",
    ):
        of_method, of_function = getattr(model, name)(), getattr(bjm, name)(model)
        np.testing.assert_array_equal(of_method, of_function)
    assert list(model.get_parameters()) == list(bjm.get_parameters(model))
