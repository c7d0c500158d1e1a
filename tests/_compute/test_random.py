from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.extend.random import threefry_2x32
from jax.scipy import stats

from BayesianJaxModels._compute import (
    fold_in,
    standard_laplace,
    standard_normal,
    symmetric_uniform,
)
from BayesianJaxModels._compute.random import _erfinv, _random_words

SIZE = 200_001
DRAWS = {
    "normal": standard_normal,
    "laplace": standard_laplace,
    "uniform": symmetric_uniform,
}


def cdf(name, x):
    x = x.astype(float)
    if name == "normal":
        return stats.norm.cdf(x)
    if name == "uniform":
        return (1 + x) / 2
    return jnp.where(x < 0, 0.5 * jnp.exp(x), 1 - 0.5 * jnp.exp(-x))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", DRAWS)
def test_distribution(name, dtype, key, x64):
    draw = DRAWS[name]
    x = np.sort(draw(key, (SIZE,), dtype))
    assert x.dtype == dtype
    assert np.all(np.isfinite(x))
    # Every bit of double precision is in use, and the ends are excluded.
    assert len(np.unique(x)) == SIZE or dtype == jnp.float32
    assert name != "uniform" or np.max(np.abs(x)) < 1
    # Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) with probability .001.
    empirical = (np.arange(SIZE) + 0.5) / SIZE
    assert np.max(np.abs(cdf(name, x) - empirical)) < 1.95 / SIZE**0.5
    # No correlation between neighbours, or between the two words of a threefry block.
    x = np.asarray(draw(key, (SIZE - 1,), dtype))
    for left, right in ((x[:-1], x[1:]), np.split(x, 2)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 4 / (SIZE / 2) ** 0.5


@pytest.mark.parametrize("name", DRAWS)
def test_keys_decide_alone(name, key):
    draw = DRAWS[name]
    x = draw(key, (3, 5), jnp.float32)
    keys = random.split(key, 4)
    batched = jax.vmap(lambda key: draw(key, (3, 5), jnp.float32))(keys)
    np.testing.assert_allclose(batched[2], draw(keys[2], (3, 5), jnp.float32))
    assert jnp.all(batched[0] != batched[1])
    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable):
        np.testing.assert_array_equal(x, draw(key, (3, 5), jnp.float32))


@pytest.mark.parametrize("name", DRAWS)
def test_shapes_and_other_generators(name, key, x64):
    draw = DRAWS[name]
    of_jax = getattr(random, name)
    if name == "uniform":
        of_jax = partial(random.uniform, minval=np.nextafter(np.float32(-1), 0))
    for shape in ((), (0, 3), (7,)):
        for dtype in (jnp.float32, jnp.float64):
            x = draw(key, shape, dtype)
            assert (x.shape, x.dtype) == (shape, dtype)
    other = random.key(0, impl="rbg")
    x = draw(other, (7,), jnp.float32)
    np.testing.assert_array_equal(x, of_jax(other, (7,), jnp.float32))
    half = draw(key, (7,), jnp.bfloat16)
    assert half.dtype == jnp.bfloat16
    assert jnp.all(jnp.isfinite(half))


@pytest.mark.parametrize("count", [2, 64])
def test_words_are_those_of_threefry(key, count):
    expected = threefry_2x32(random.key_data(key), jnp.arange(count, dtype=jnp.uint32))
    np.testing.assert_array_equal(_random_words(key, count), expected)
    np.testing.assert_array_equal(
        _random_words(key, count - 1), _random_words(key, count)[:-1]
    )


@pytest.mark.parametrize("make_key", [random.key, random.PRNGKey])
def test_keys_are_folded_as_jax_does(make_key):
    key = make_key(5)
    for index in (0, 1, 2**31 - 1, jnp.uint32(2**32 - 1), np.int32(7)):
        found, expected = fold_in(key, index), random.fold_in(key, index)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(random.key_data(found), random.key_data(expected))
    other = random.key(0, impl="rbg")
    assert fold_in(other, 3) == random.fold_in(other, 3)
    for parent in (key, other):
        many = fold_in(parent, np.arange(3))
        for index in range(3):
            assert jnp.all(many[index] == random.fold_in(parent, index))


def test_inverse_error_function(x64):
    """Over its whole range, to the last bits of float32."""
    odd = np.arange(-(2**23) + 1, 2**23, 2 * 97, dtype=np.int32)
    assert 0 not in odd
    for x in (odd, np.array([1, 3, 2**23 - 1, -(2**23) + 1], np.int32)):
        x = x.astype(np.float32) * np.float32(2**-23)
        expected = jax.scipy.special.erfinv(x.astype(np.float64))
        np.testing.assert_allclose(jax.jit(_erfinv)(x), expected, rtol=3e-7)
