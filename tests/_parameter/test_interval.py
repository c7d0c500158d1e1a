"""Supports: the map from unconstrained numbers to values, and what it changes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._parameter import Interval

LOW = np.array([-np.inf, 1.0, -np.inf, 1.0])
HIGH = np.array([np.inf, np.inf, 3.0, 3.0])
X = np.array([0.7, -1.2, 0.3, 2.0])
IMAGES = np.array([0.7, 1 + np.exp(-1.2), 3 - np.exp(-0.3), 1 + 2 / (1 + np.exp(-2.0))])


def test_each_entry_has_the_map_of_its_ends(x64):
    interval = Interval(LOW, HIGH)
    np.testing.assert_allclose(interval.value(jnp.array(X)), IMAGES, rtol=1e-15)
    back = interval.unconstrained(jnp.array(IMAGES))
    np.testing.assert_allclose(back, X, rtol=1e-14)
    one_by_one = [Interval(low, high) for low, high in zip(LOW, HIGH, strict=True)]
    alone = [one.value(jnp.array(x)) for one, x in zip(one_by_one, X, strict=True)]
    np.testing.assert_array_equal(np.stack(alone), interval.value(jnp.array(X)))


def test_slopes_are_those_of_the_map(x64):
    interval = Interval(LOW, HIGH)
    slopes = jax.jacfwd(interval.value)(jnp.array(X))
    wanted = np.log(np.diag(slopes))
    np.testing.assert_allclose(interval.log_slope(jnp.array(X)), wanted, rtol=1e-14)
    np.testing.assert_array_equal(slopes, np.diag(np.diag(slopes)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_finite_where_another_entry_overflows(x64, dtype):
    x = jnp.array([500.0, -500.0, 1.0, 500.0], dtype)
    interval = Interval(LOW, HIGH)
    for fn in (interval.value, interval.log_slope):
        gradient = jax.grad(lambda x, fn=fn: jnp.sum(fn(x)))(x)
        assert gradient.dtype == dtype
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_end_is_as_near_as_rounding(x64, dtype):
    interval = Interval(0.0, 1.0)
    ends = interval.unconstrained(jnp.array([0.0, 1.0], dtype))
    eps = np.finfo(dtype).eps
    wanted = [np.log(8 * np.finfo(dtype).tiny), -np.log(eps / 2)]
    np.testing.assert_allclose(ends, wanted, rtol=1e-6)
    outside = interval.unconstrained(jnp.array([-0.1, 1.1], dtype))
    assert np.isnan(outside).all()


def test_a_parameter_holds_the_number_that_stands_for_its_value():
    rates = bjm.make_parameter([0.5, 0.03], support="positive", stdv=0.1)
    np.testing.assert_allclose(rates.value, [0.5, 0.03], rtol=1e-6)
    np.testing.assert_allclose(rates.mean, np.log([0.5, 0.03]), rtol=1e-6)
    np.testing.assert_allclose(rates.stdv, [0.1, 0.1], rtol=1e-5)
    share = bjm.make_parameter(0.9, support=(0, 1))
    assert share.mean == pytest.approx(scipy.special.logit(0.9), rel=1e-6)
    plain = bjm.make_parameter([0.5, 0.03])
    assert plain.value is plain.mean
    for unbounded in ((None, None), (-np.inf, None), None):
        assert bjm.make_parameter(0.5, support=unbounded).support is None


def test_draws_widths_and_halves_keep_the_support():
    model = {"rates": bjm.make_parameter([0.5, 0.03], support="positive", stdv=0.1)}
    drawn = bjm.sample_all_parameters(model, random.key(0))
    np.testing.assert_allclose(drawn["rates"].value, np.exp(drawn["rates"].mean))
    wide = model["rates"].with_stdv(0.5)
    assert wide.support == model["rates"].support
    dynamic, static = bjm.freeze_stdvs(model)
    whole = bjm.unfreeze_all(dynamic, static)
    assert jax.tree.structure(whole) == jax.tree.structure(model)
    moved = bjm.unflatten_means(model, np.zeros(2))
    np.testing.assert_array_equal(moved["rates"].value, [1.0, 1.0])


@pytest.mark.parametrize(
    "kind",
    [
        bjm.GaussianParameter,
        bjm.LaplacianParameter,
        bjm.MultivariateGaussianParameter,
        bjm.LowRankGaussianParameter,
        bjm.DeterministicParameter,
    ],
)
def test_every_kind_can_have_one(kind):
    made = bjm.make_parameter([0.5, 0.2], support=(0, 1), param_type=kind)
    np.testing.assert_allclose(made.value, [0.5, 0.2], rtol=1e-6)
    assert made.with_stdv(0.4).support == Interval(0, 1)


def test_a_kind_with_an_init_of_its_own_can_have_one():
    class OfOneWord(bjm.AbstractParameter):
        mean: jax.Array

        def __init__(self, location):
            self.mean = location

        stdv = property(lambda self: jnp.ones(self.shape))
        log_prob = entropy = sample = lambda self, *_: self.mean

        @classmethod
        def from_value(cls, value, init_raw_stdv):
            return cls(value)

    plain = bjm.make_parameter(2.0, param_type=OfOneWord)
    assert plain.support is None
    made = bjm.make_parameter(2.0, param_type=OfOneWord, support="positive")
    assert made.value == pytest.approx(2.0)
    assert jax.tree.map(lambda x: x + 1, made).value == pytest.approx(2.0 * np.e)


def test_layers_compute_with_the_value():
    weights = bjm.make_parameter(np.array([[0.5, 2.0]]), support="positive")
    layer = bjm.BayesianLinear(2, 1, key=random.key(0))
    layer = eqx.tree_at(lambda layer: layer.W, layer, weights)
    b = layer.b.mean
    ys = layer(jnp.array([1.0, 10.0]), sample=False)
    np.testing.assert_allclose(ys, 20.5 + b, rtol=1e-6)
    wrapped = bjm.Bayesian(eqx.nn.Linear(2, 1, key=random.key(0)))
    wrapped = eqx.tree_at(lambda layer: layer.module.weight, wrapped, weights)
    weight = wrapped.to_equinox().weight
    np.testing.assert_allclose(weight, [[0.5, 2.0]], rtol=1e-6)


def test_tables_show_values():
    model = {"k": bjm.make_parameter([0.5, 0.25], support="positive", stdv=0.1)}
    [row] = bjm.parameter_table(model).rows
    np.testing.assert_allclose(row.mean, [0.5, 0.25], rtol=1e-6)
    np.testing.assert_allclose(row.stdv, [0.05, 0.025], rtol=1e-5)
    fit = bjm.JointPosterior.full(model, [0.2, 0.4])
    [row] = bjm.parameter_table(fit).rows
    # Of a log-normal distribution.
    variance = np.array([0.2, 0.4]) ** 2
    mean = np.array([0.5, 0.25]) * np.exp(variance / 2)
    np.testing.assert_allclose(row.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(row.stdv, mean * np.expm1(variance) ** 0.5, rtol=1e-5)


def test_saving_knows_it(tmp_path):
    path = tmp_path / "rates.bjm"
    positive = bjm.make_parameter(0.5, support="positive")
    bjm.save_model(path, positive)
    loaded = bjm.load_model(path, like=bjm.make_parameter(2.0, support="positive"))
    assert loaded.value == pytest.approx(0.5)
    with pytest.raises(ValueError, match="'support' is Interval"):
        bjm.load_model(path, like=bjm.make_parameter(2.0))


def test_nothing_compiles_twice():
    calls = 0

    @eqx.filter_jit
    def value(parameter):
        nonlocal calls
        calls += 1
        return parameter.value

    for number in (0.5, 0.7):
        ends = np.array([0.0, -np.inf]), np.array([1.0, 2.0])
        value(bjm.make_parameter([number, 0.2], support=ends))
    assert calls == 1


@pytest.mark.parametrize(
    ("value", "support", "error", "words"),
    [
        ([1.0, 0.0], "positive", ValueError, r"support` \(0.0, inf\).*\[0.0\] is not"),
        (1.5, (0, 1), ValueError, r"\[1.5\] is not"),
        (1.5, "negative", TypeError, "'positive', a pair of ends.*got 'negative'"),
        (1.5, [0, 2], TypeError, r"got \[0, 2\]"),
        (1.5, (2, 1), ValueError, "in order, but got 2 and 1"),
        (1.5, (np.nan, 2), ValueError, "in order"),
        (1.5, ("a", 2), TypeError, "`low` of `support` must be a number"),
        ([1.0, 2.0], ([0.0, 0.0, 0.0], 9), ValueError, r"\(3,\).*\(2,\)"),
    ],
)
def test_a_wrong_support_or_value_is_named(value, support, error, words):
    with pytest.raises(error, match=words):
        bjm.make_parameter(value, support=support)


def test_under_jit_a_value_outside_is_nan():
    made = jax.jit(lambda v: bjm.make_parameter(v, support="positive"))(-1.0)
    assert np.isnan(made.value)


def test_divergences_need_one_support():
    positive, real = (
        bjm.make_parameter(0.5, support="positive"),
        bjm.make_parameter(0.5),
    )
    assert bjm.kl_divergence(positive, positive) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=r"one `support`.*\(0.0, inf\) and None"):
        bjm.kl_divergence(positive, real)
