import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_density_is_one_over_the_width_ends_included(dtype, x64):
    largest = float(jnp.finfo(dtype).max)
    for low, high in [(0.0, 4.0), (-3.0, -2.5), (-largest, largest), (0.0, 1e-30)]:
        prior = bjm.priors.Uniform(jnp.array(low, dtype), jnp.array(high, dtype))
        inside = jnp.array([low, low / 2 + high / 2, high], dtype)
        expected = -np.log(0.5 * np.subtract(high / 2, low / 2)) - 2 * np.log(2)
        rtol = 4 * jnp.finfo(dtype).eps
        np.testing.assert_allclose(prior.log_density(inside), expected, rtol=rtol)
        assert np.all(jax.grad(lambda x, p=prior: p.log_density(x).sum())(inside) == 0)
    beyond = jnp.array([np.nextafter(0, -1), 4 + 1e-5, np.nan, np.inf], dtype)
    found = bjm.priors.Uniform(0.0, 4.0).log_density(beyond)[1:]
    np.testing.assert_array_equal(found, -np.inf)


def test_the_density_has_the_slopes_of_its_ends(x64):
    def density(low, high):
        return bjm.priors.Uniform(low, high).log_density(jnp.array(0.5))

    slopes = jax.grad(density, (0, 1))(jnp.array(-1.0), jnp.array(3.0))
    np.testing.assert_allclose(slopes, (0.25, -0.25), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_inside_also_where_few_numbers_are(dtype, key, x64):
    """Three numbers above the first end there is the second: two are in between."""
    low = np.array(1e6, dtype)
    steps = [low]
    for _ in range(3):
        steps.append(np.nextafter(steps[-1], np.array(np.inf, dtype)))
    prior = bjm.priors.Uniform(steps[0], steps[-1])
    draws = np.unique(prior.sample(key, jnp.zeros(200, dtype)))
    np.testing.assert_array_equal(draws, steps[1:3])
    widest = jnp.finfo(dtype).max
    draws = bjm.priors.Uniform(-widest, widest).sample(key, jnp.zeros(200, dtype))
    assert np.all(np.isfinite(draws))
    assert 0.3 < np.mean(draws > 0) < 0.7
    assert np.max(np.abs(draws)) > 0.9 * widest


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(NotImplementedError, match="A Uniform knows no divergence"):
        bjm.priors.Uniform().kl_from(bjm.make_parameter(0.0))
