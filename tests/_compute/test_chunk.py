import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._compute import items_in_cache
from BayesianJaxModels._compute.chunk import empty, in_batches, put


def test_chunks_fill_the_cache():
    assert items_in_cache(83_000) == 7
    assert items_in_cache(700) == 857
    assert items_in_cache(1) == 1_000
    assert items_in_cache(10**9) == 1


def test_batches_are_joined_in_order():
    found = in_batches(lambda i: {"twice": 2 * i}, jnp.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(found["twice"], 2 * np.arange(6))


def test_what_numpy_holds_goes_to_the_device_too():
    device = jax.local_devices()[0]
    key = jax.random.key(0)
    given = {"numpy": np.arange(3), "jax": jnp.ones(2), "key": key, "rest": "word"}
    found = put(given, device)
    assert found["rest"] == "word"
    assert found["key"] == key
    for name in ("numpy", "jax"):
        assert found[name].devices() == {device}
        np.testing.assert_array_equal(found[name], given[name])


@pytest.mark.cpu("NumPy's memory is that of a CPU")
@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.float32, np.complex128])
@pytest.mark.parametrize("shape", [(10_000, 7), (0, 7), ()])
def test_what_is_begun_empty_goes_to_jax_without_a_copy(shape, dtype):
    found = empty(shape, np.dtype(dtype))
    assert (found.shape, found.dtype) == (shape, dtype)
    found[...] = 1
    with jax.enable_x64(True):
        in_jax = put(found)
    np.testing.assert_array_equal(in_jax, np.ones(shape, dtype))
    if found.size > 1:
        assert found.ctypes.data == in_jax.unsafe_buffer_pointer()
