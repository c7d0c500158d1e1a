import jax
import jax.numpy as jnp
import numpy as np

from BayesianJaxModels._compute import items_in_cache
from BayesianJaxModels._compute.chunk import in_batches, put


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
