import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.scipy import stats

from BayesianJaxModels._compute import standard_laplace, standard_normal

SIZE = 200_001
DRAWS = {"normal": standard_normal, "laplace": standard_laplace}


def cdf(name, x):
    if name == "normal":
        return stats.norm.cdf(x)
    return jnp.where(x < 0, 0.5 * jnp.exp(x), 1 - 0.5 * jnp.exp(-x))


@pytest.mark.parametrize("name", DRAWS)
def test_distribution(name, key):
    draw = DRAWS[name]
    x = np.sort(draw(key, (SIZE,), jnp.float32))
    assert np.all(np.isfinite(x))
    # Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) with probability .001.
    empirical = (np.arange(SIZE) + 0.5) / SIZE
    assert np.max(np.abs(cdf(name, x) - empirical)) < 1.95 / SIZE**0.5
    # No correlation between neighbours, or between the two words of a threefry block.
    x = np.asarray(draw(key, (SIZE - 1,), jnp.float32))
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
    for shape in ((), (0, 3), (7,)):
        x = draw(key, shape, jnp.float32)
        assert (x.shape, x.dtype) == (shape, jnp.float32)
    for other_key, dtype in (
        (key, jnp.float64),
        (random.key(0, impl="rbg"), jnp.float32),
    ):
        x = draw(other_key, (7,), dtype)
        np.testing.assert_array_equal(x, of_jax(other_key, (7,), dtype))
