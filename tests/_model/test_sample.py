from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from diffrax import ODETerm, SaveAt, Tsit5, diffeqsolve
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    BayesianLinear,
    BayesianMLP,
    GaussianParameter,
    flatten_means,
    make_parameter,
    sample_all_parameters,
)
from BayesianJaxModels._check import check_key
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


class Labelled(bjm.AbstractParameter):
    """A user's own type, with fields that are no arrays and not marked static."""

    mean: jax.Array
    raw_stdv: jax.Array
    unit: str = "per year"
    degrees: int = 3
    note: Any = None
    shape_of: Any = jnp.tanh

    @classmethod
    def from_value(cls, value, init_raw_stdv):
        return cls(value, jnp.full_like(value, init_raw_stdv))

    @property
    def stdv(self):
        return self.raw_stdv**2 + 1e-4

    def sample(self, rng):
        assert self.unit in ("per year", "per day")
        assert isinstance(self.degrees, int)
        eps = jax.random.normal(rng, self.shape, self.mean.dtype)
        return self.mean + self.stdv * eps

    def log_prob(self, value):
        return jnp.sum(jax.scipy.stats.norm.logpdf(value, self.mean, self.stdv))

    def entropy(self):
        return jnp.sum(jnp.log(self.stdv))


@pytest.mark.parametrize("count", [2, 7])
def test_fields_that_are_no_arrays_are_left_alone(count, key, tmp_path):
    def make(i):
        unit = "per day" if i == 1 else "per year"
        return Labelled(jnp.full(2, float(i)), jnp.ones(2), unit, note=[None] * (i % 2))

    model = [make(i) for i in range(count)]
    drawn = bjm.sample_all_parameters(model, key)
    for i, (before, after) in enumerate(zip(model, drawn, strict=True)):
        assert (after.unit, after.degrees) == (before.unit, before.degrees)
        expected = before.sample(jax.random.fold_in(key, i))
        np.testing.assert_allclose(after.mean, expected, rtol=1e-6)
    assert bjm.flatten_raw_stdvs(model).shape == (2 * count,)
    bjm.save_model(tmp_path / "model", model)
    loaded = bjm.load_model(tmp_path / "model", jax.tree.map(lambda leaf: leaf, model))
    assert [p.unit for p in loaded] == [p.unit for p in model]
    weights = bjm.map_posterior(bjm.flatten_means, model, key=key, num_samples=3)
    assert weights.shape == (3, 2 * count)
    dynamic, static = bjm.freeze_stdvs(model)
    assert len(jax.tree.leaves(dynamic)) == count

    def loss(dynamic):
        settings = {"prior": None, "key": key, "num_samples": 2}
        settings["stick_the_landing"] = True
        fit = bjm.unfreeze_all(dynamic, static)
        return bjm.elbo(fit, lambda d: -jnp.sum(d[0].mean ** 2), **settings).value

    assert jnp.all(jnp.isfinite(jax.grad(loss)(dynamic)[0].mean))


@pytest.fixture
def untyped():
    """As a user calls, who has no type checks at run time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("wrong", "error", "came"),
    [
        (None, ValueError, "A key is required, but `{}` is None"),
        (0, TypeError, "`{}` must be a random key of JAX, not 0"),
        (np.arange(3.0), TypeError, r"`{}` must .*, not float64\[3\]"),
        (
            jax.random.split(jax.random.key(0), 3),
            ValueError,
            r"`{}` must be one .*\(3,",
        ),
        (
            jax.random.split(jax.random.PRNGKey(0)),
            ValueError,
            r"`{}` must be one .*\(2,",
        ),
    ],
    ids=str,
)
def test_what_is_no_key_is_named(wrong, error, came, untyped):
    model = bjm.make_parameter(1.0)
    posterior = bjm.JointPosterior.full(model, 0.1)
    calls = {
        "rng": [
            lambda: bjm.sample_all_parameters(model, wrong),
            lambda: bjm.sample_all_parameters(posterior, wrong),
            lambda: model.sample(wrong),
        ],
        "key": [
            lambda: posterior.draw(wrong),
            lambda: bjm.BayesianLinear(2, 2, key=wrong),
            lambda: bjm.BayesianMLP(2, 2, 2, 1, key=wrong),
            lambda: bjm.elbo(
                model, lambda d: d.mean, prior=None, key=wrong, num_samples=2
            ),
        ],
    }
    for name, with_name in calls.items():
        for call in with_name:
            with pytest.raises(
                error, match=came.format(name) + ".*jax.random.key|vmap"
            ):
                call()


def test_keys_of_every_kind_are_keys():
    model = bjm.make_parameter(1.0)
    for wanted in (
        jax.random.key(0),
        jax.random.PRNGKey(0),
        np.asarray(jax.random.PRNGKey(0)),
        jax.random.key(0, impl="rbg"),
        jax.random.PRNGKey(0, impl="rbg"),
    ):
        assert check_key(wanted) is wanted
    keys = jax.random.split(jax.random.key(0), 3)
    draws = jax.jit(jax.vmap(lambda key: bjm.sample_all_parameters(model, key).mean))
    assert draws(keys).shape == (3,)


@pytest.mark.parametrize("generator", ["rbg", "unsafe_rbg"])
def test_other_generators_draw_as_each_alone(generator):
    """Under `jax.vmap` they would not."""
    key = random.key(3, impl=generator)
    model = [bjm.GaussianParameter(jnp.ones(2) * i, jnp.ones(2)) for i in range(6)]
    for i, drawn in enumerate(bjm.sample_all_parameters(model, key)):
        alone = model[i].sample(random.fold_in(key, i))
        np.testing.assert_array_equal(drawn.mean, alone)
