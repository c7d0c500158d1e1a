import jax
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


def test_it_prints_its_table_and_its_structure_where_there_are_no_values(key):
    layer = bjm.BayesianLinear(2, 1, key=key)
    assert str(layer) == str(bjm.parameter_table(layer))
    assert layer._repr_html_() == bjm.parameter_table(layer)._repr_html_()
    printed = []

    def trace(layer):
        printed.append(str(layer))
        return layer.W.mean

    jax.eval_shape(trace, layer)
    assert printed[0].startswith("BayesianLinear(\n  W=GaussianParameter(")
