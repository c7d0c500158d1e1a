import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._gradient import all_finite, guard_gradient, stop_gradient

RATES = jnp.array([0.5, 1.0, 2.0, 4.0])


def faulty(x, is_bad):
    """`sin(x)`, or what has this value and NaN for a gradient."""
    root = jnp.sqrt(jnp.where(is_bad, x * 0.0, 1.0))
    return jnp.sin(x) + (root - jnp.where(is_bad, 0.0, 1.0))


def guarded(tree):
    return guard_gradient(tree, mapped_with=tree)


def test_nothing_goes_back_where_it_is_stopped():
    tree = {"rate": jnp.array([1.0, 2.0]), "count": 3, "name": "a", "f": jnp.sin}

    def square(rate):
        stopped = stop_gradient(tree | {"rate": rate})
        assert (stopped["count"], stopped["name"], stopped["f"]) == (3, "a", jnp.sin)
        return jnp.sum(stopped["rate"] ** 2 + stopped["rate"] * rate)

    # Of `x**2 + x y` by `y` alone.
    np.testing.assert_array_equal(jax.grad(square)(tree["rate"]), tree["rate"])


def test_a_guard_is_the_identity_with_its_gradient():
    tree = {"a": jnp.array([1.0, -2.0]), "b": (jnp.array(3.0), jnp.array(7), "word")}
    found = guarded(tree)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    assert found["b"][1] is tree["b"][1]
    assert found["b"][2] == "word"

    def loss(a, b):
        kept = guarded({"a": a, "b": (b, tree["b"][1], "word")})
        return jnp.sum(kept["a"] ** 3) * kept["b"][0]

    of_a, of_b = jax.grad(loss, argnums=(0, 1))(tree["a"], tree["b"][0])
    np.testing.assert_allclose(of_a, [9.0, 36.0], rtol=1e-6)
    np.testing.assert_allclose(of_b, 1.0 - 8.0, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_entry_stops_all_that_went_in_together(bad):
    def loss(x, y):
        kept = guarded((x, y))
        return jnp.sum(kept[0] * jnp.array([1.0, bad])) + kept[1]

    of_x, of_y = jax.grad(loss, argnums=(0, 1))(jnp.ones(2), jnp.array(2.0))
    np.testing.assert_array_equal(of_x, [0.0, 0.0])
    assert of_y == 0


def test_draws_are_judged_one_by_one():
    is_bad = jnp.array([False, True, False, False])

    def loss(rates):
        one = jax.vmap(lambda rate, bad: faulty(guarded(rate), bad))
        return jnp.sum(one(rates, is_bad))

    assert np.isnan(jax.grad(lambda x: jnp.sum(faulty(x, is_bad)))(RATES)[1])
    expected = np.where(is_bad, 0.0, np.cos(RATES))
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(RATES), expected, atol=1e-6)


def test_what_all_share_is_judged_where_others_are_mapped():
    is_bad = jnp.array([False, True, False, False])

    def loss(shared, rates, by_rates):
        def one(rate, bad):
            mapped_with = (shared, rate) if by_rates else shared
            return faulty(rate * guard_gradient(shared, mapped_with=mapped_with), bad)

        return jnp.sum(jax.vmap(one)(rates, is_bad))

    slope = jax.grad(loss)
    x = jnp.array(0.3)
    expected = np.sum(np.where(is_bad, 0.0, RATES * np.cos(0.3 * RATES)))
    np.testing.assert_allclose(slope(x, RATES, True), expected, rtol=1e-6)
    # Where nothing says over what to judge, one NaN in the sum loses all of it.
    assert slope(x, RATES, False) == 0


def test_tangents_pass_as_they_are():
    _, tangent = jax.jvp(guarded, (RATES,), (jnp.array([1.0, jnp.nan, 2.0, 3.0]),))
    np.testing.assert_array_equal(tangent, [1.0, np.nan, 2.0, 3.0])
    np.testing.assert_array_equal(jax.jacfwd(guarded)(RATES), np.eye(4))


def test_each_precision_gets_its_own_back(x64):
    single, double = jnp.ones(2, "float32"), jnp.array([1 / 3, 2.0])

    def loss(single, double):
        kept = guarded((single, double))
        return jnp.sum(kept[0].astype("float64") ** 2) + jnp.sum(kept[1] ** 3)

    of_single, of_double = jax.grad(loss, argnums=(0, 1))(single, double)
    assert of_single.dtype == "float32"
    np.testing.assert_array_equal(of_single, [2.0, 2.0])
    np.testing.assert_allclose(of_double, 3 * np.square(double), rtol=1e-15)


def test_nothing_to_differentiate_is_left_alone():
    assert guarded((3, None, "word")) == (3, None, "word")
    empty = guarded({"x": jnp.zeros((0, 2))})
    assert empty["x"].shape == (0, 2)
    assert jax.grad(lambda x: jnp.sum(guarded((x, jnp.zeros(0)))[0]))(1.0) == 1.0


def test_finite_is_what_has_no_nan_and_no_infinity():
    assert all_finite({"a": jnp.ones(2), "b": (jnp.zeros(()), jnp.arange(3))})
    assert all_finite({})
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert not all_finite({"a": jnp.ones(2), "b": jnp.array([[0.0, bad]])})
