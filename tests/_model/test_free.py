import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._model.free import (
    free_columns,
    free_dtype,
    free_means,
    free_stdvs,
    replace_free_means,
)

MODEL = {
    "a": bjm.make_parameter([[1.0, 2.0]], init_raw_stdv=[[0.5, 1.0]]),
    "b": bjm.DeterministicParameter(np.float32([7.0, 8.0])),
    "c": bjm.make_parameter(3.0, init_raw_stdv=2.0),
    "label": "no array",
}


def test_what_is_known_is_no_entry():
    np.testing.assert_array_equal(free_means(MODEL), [1, 2, 3])
    np.testing.assert_allclose(free_stdvs(MODEL), [0.2501, 1.0001, 4.0001], rtol=1e-6)
    columns = free_columns(MODEL)
    assert columns == [True, True, False, False, True]
    of_all = np.asarray(bjm.flatten_means(MODEL))
    np.testing.assert_array_equal(of_all[np.array(columns)], free_means(MODEL))


def test_what_is_frozen_is_no_entry():
    dynamic, _ = bjm.freeze_params(MODEL, ["['a']"])
    np.testing.assert_array_equal(free_means(dynamic), [3])
    moved = replace_free_means(dynamic, jnp.array([4.0]))
    assert float(moved["c"].mean) == 4
    assert moved["a"].mean is None


def test_replacing_is_the_inverse_and_leaves_the_rest():
    moved = replace_free_means(MODEL, jnp.array([-1.0, -2.0, -3.0]))
    np.testing.assert_array_equal(free_means(moved), [-1, -2, -3])
    np.testing.assert_array_equal(moved["a"].mean, [[-1, -2]])
    assert moved["b"] is MODEL["b"]
    assert moved["label"] == "no array"
    np.testing.assert_array_equal(free_stdvs(moved), free_stdvs(MODEL))
    for size in (2, 4, 5):
        message = rf"`vector` has shape \({size},\), but \(3,\) was wanted"
        with pytest.raises(ValueError, match=message):
            replace_free_means(MODEL, jnp.zeros(size))


def test_each_entry_keeps_the_precision_of_its_parameter(x64):
    mixed = {
        "first": bjm.make_parameter(jnp.ones(2, jnp.float32)),
        "second": bjm.make_parameter(jnp.ones(1, jnp.float64)),
    }
    assert free_dtype(mixed) == free_means(mixed).dtype == jnp.float64
    moved = replace_free_means(mixed, jnp.array([0.1, 0.2, 0.3]))
    assert moved["first"].mean.dtype == jnp.float32
    np.testing.assert_array_equal(moved["second"].mean, [0.3])
    known = bjm.DeterministicParameter(jnp.ones(1, jnp.float64))
    assert free_dtype([mixed["first"], known]) == jnp.float32


def test_without_anything_free_there_is_an_empty_vector():
    known = {"b": MODEL["b"]}
    assert free_means(known).shape == free_stdvs(known).shape == (0,)
    assert free_columns(known) == [False, False]
    assert replace_free_means(known, jnp.zeros(0))["b"] is MODEL["b"]
