import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from diffrax import ODETerm, SaveAt, Tsit5, diffeqsolve
from jax import random

from BayesianJaxModels import (
    BayesianLinear,
    BayesianMLP,
    GaussianParameter,
    flatten_means,
    make_parameter,
    sample_all_parameters,
)
from BayesianJaxModels._compute import standard_normal


def test_the_draw_is_the_formula(key):
    parameter = GaussianParameter(jnp.array([1.0, 2.0]), jnp.array([0.5, 0.6]))
    drawn = sample_all_parameters([parameter], key)[0]
    eps = standard_normal(random.fold_in(key, 0), (2,), jnp.float32)
    np.testing.assert_allclose(drawn.mean, parameter.mean + parameter.stdv * eps)


def test_parameters_draw_independently(key):
    layer = BayesianLinear(2, 2, init_raw_stdv=1.0, key=key)
    drawn = sample_all_parameters({"a": layer, "b": layer}, key)
    values = flatten_means(drawn) - flatten_means({"a": layer, "b": layer})
    assert len(set(np.asarray(values).tolist())) == values.size


def test_old_style_keys_work():
    layer = BayesianLinear(2, 2, key=random.PRNGKey(0))
    drawn = sample_all_parameters(layer, random.PRNGKey(1))
    same = sample_all_parameters(layer, random.key(1))
    np.testing.assert_array_equal(drawn.W.mean, same.W.mean)


class Decay(eqx.Module):
    """A user's model and loss, written with diffrax alone."""

    net: BayesianMLP

    def solve(self, y0):
        return diffeqsolve(
            ODETerm(lambda t, y, net: net(y, key=None, sample=False)),
            Tsit5(),
            t0=0.0,
            t1=0.2,
            dt0=0.01,
            y0=y0,
            args=self.net,
            saveat=SaveAt(ts=jnp.linspace(0.0, 0.2, 5)),
        ).ys


def test_whole_model_gradients_through_an_ode(key):
    model = Decay(BayesianMLP(2, 2, 4, 1, init_raw_stdv=0.2, key=key))

    @jax.jit
    def loss_fn(model, key):
        drawn = sample_all_parameters(model, key)
        return jnp.mean((drawn.solve(jnp.ones(2)) - 0.5) ** 2)

    value, gradient = jax.value_and_grad(loss_fn)(model, random.key(0))
    assert jnp.isfinite(value)
    for layer in gradient.net.layers:
        for leaf in jax.tree.leaves(layer):
            assert jnp.all(jnp.isfinite(leaf))
            assert jnp.any(leaf != 0)


def test_posterior_trajectories_by_vmap(key):
    model = Decay(BayesianMLP(2, 2, 4, 1, init_raw_stdv=0.5, key=key))

    def sample_trajectory(key):
        return sample_all_parameters(model, key).solve(jnp.ones(2))

    trajectories = jax.jit(jax.vmap(sample_trajectory))(random.split(key, 100))
    assert trajectories.shape == (100, 5, 2)
    # One draw a trajectory: the first derivative at t = 0 differs between them.
    assert jnp.all(trajectories[:, 0] == 1)
    assert jnp.all(trajectories[:, 1].std(axis=0) > 0)


def test_many_of_one_shape_draw_as_each_alone(key):
    alike = [make_parameter(jnp.full(3, i), init_raw_stdv=0.5) for i in range(6)]
    model = [*alike, make_parameter(jnp.zeros(2), init_raw_stdv=0.5)]
    drawn = sample_all_parameters(model, key)
    for index, (parameter, draw) in enumerate(zip(model, drawn, strict=True)):
        expected = parameter.sample(random.fold_in(key, index))
        np.testing.assert_allclose(draw.mean, expected, rtol=1e-6)
        np.testing.assert_array_equal(draw.raw_stdv, parameter.raw_stdv)
