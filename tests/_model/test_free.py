import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._model import (
    free_columns,
    free_dtype,
    free_means,
    free_stdvs,
    replace_free_means,
)

MODEL = {
    "known": bjm.make_parameter([9.0, 8.0], bayesian=False),
    "rates": bjm.make_parameter([[0.5, 0.25]], stdv=0.1),
    "wide": bjm.make_parameter(3.0, stdv=2.0),
}


def test_what_is_known_is_left_out():
    np.testing.assert_array_equal(free_means(MODEL), [0.5, 0.25, 3.0])
    np.testing.assert_allclose(free_stdvs(MODEL), [0.1, 0.1, 2.0], rtol=1e-6)
    assert free_columns(MODEL) == [False, False, True, True, True]
    assert free_dtype(MODEL) == jnp.float32


def test_what_is_frozen_is_left_out():
    dynamic, _ = bjm.freeze_params(MODEL, ["['rates']"])
    np.testing.assert_array_equal(free_means(dynamic), [3.0])
    moved = replace_free_means(dynamic, jnp.array([5.0]))
    assert moved["wide"].mean == 5.0
    assert moved["rates"].mean is None


def test_replacing_is_the_inverse_and_leaves_the_known_and_the_widths():
    vector = jnp.array([1.0, 2.0, 3.5])
    moved = replace_free_means(MODEL, vector)
    np.testing.assert_array_equal(free_means(moved), vector)
    assert moved["rates"].mean.shape == (1, 2)
    np.testing.assert_array_equal(moved["known"].mean, MODEL["known"].mean)
    np.testing.assert_array_equal(free_stdvs(moved), free_stdvs(MODEL))
    many = jax.vmap(lambda v: replace_free_means(MODEL, v))(jnp.zeros((4, 3)))
    assert many["rates"].mean.shape == (4, 1, 2)


@pytest.mark.parametrize("size", [2, 4])
def test_a_vector_of_another_size_is_refused(size):
    with pytest.raises(ValueError, match=rf"`vector` has shape \({size},\).*\(3,\)"):
        replace_free_means(MODEL, jnp.zeros(size))


def test_mixed_precisions_come_back_as_they_were(x64):
    model = [bjm.make_parameter(np.float32(1.5)), bjm.make_parameter(np.float64(2.5))]
    assert free_dtype(model) == free_means(model).dtype == jnp.float64
    moved = replace_free_means(model, jnp.array([0.1, 0.2]))
    assert [p.mean.dtype for p in moved] == [jnp.float32, jnp.float64]
    assert moved[0].mean == np.float32(0.1)
    assert moved[1].mean == 0.2


def test_a_model_without_anything_free_has_no_entries():
    assert free_means({"known": MODEL["known"]}).shape == (0,)
    assert free_columns([]) == []
