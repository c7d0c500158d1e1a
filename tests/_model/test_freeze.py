"""What goes where is decided by what a leaf is, never by its name."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import BayesianMLP

from ..registry import Traps

MEANS = {
    "W.mean",
    "stdv_net.W.mean",
    "stdv_net.b.mean",
    "table['W'].mean",
    "table['mean'].mean",
    "table['raw_stdv'].mean",
    "inner.mean_field.mean",
    "pair[0].mean",
    "scalar.mean",
    "empty.mean",
}
WIDTHS = {
    "W.raw_stdv",
    "stdv_net.W.raw_stdv",
    "table['W'].raw_scale",
    "table['mean'].raw_stdv",
    "inner.mean_field.log_scale_meaning",
    "pair[0].raw_diagonal",
    "pair[0].raw_lower",
    "scalar.raw_stdv",
    "empty.raw_stdv",
}
PLAIN = {"mean", "inner.meaning", "inner.raw_stdv"}


def leaf_names(tree):
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path).removeprefix(".") for path, _ in paths}


@pytest.mark.parametrize(
    ("freeze", "dynamic_names"),
    [
        (bjm.freeze_stdvs, MEANS | PLAIN),
        (bjm.freeze_means, WIDTHS),
        (lambda model: bjm.freeze_params(model, []), MEANS | WIDTHS | PLAIN),
        (
            lambda model: bjm.freeze_params(model, ["W", "inner.meaning", "pair[0]"]),
            (MEANS | WIDTHS | PLAIN)
            - {
                "W.mean",
                "W.raw_stdv",
                "inner.meaning",
                "pair[0].mean",
                "pair[0].raw_diagonal",
                "pair[0].raw_lower",
            },
        ),
    ],
    ids=["stdvs", "means", "nothing", "params"],
)
def test_what_is_dynamic(freeze, dynamic_names, key):
    model = Traps(key)
    dynamic, static = freeze(model)
    assert leaf_names(dynamic) == dynamic_names
    assert leaf_names(static) == leaf_names(model) - dynamic_names


def test_numpy_arrays_are_arrays():
    dynamic, _ = bjm.freeze_stdvs({"a": np.ones(2), "b": np.arange(2), "c": 1.0})
    assert leaf_names(dynamic) == {"['a']"}


def loss_of(model, x, key):
    drawn = bjm.sample_all_parameters(model, key)
    return jnp.mean(drawn(x, key=None, sample=False) ** 2) - 0.01 * bjm.entropy(model)


@pytest.fixture
def standard_promotion():
    """Optax multiplies integers by floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("freeze", [bjm.freeze_stdvs, bjm.freeze_means])
def test_training_with_jax_and_optax(freeze, key):
    model = BayesianMLP(2, 1, 2, 1, init_raw_stdv=0.3, key=key)
    dynamic, static = freeze(model)
    optimiser = optax.adam(1e-3)
    state = optimiser.init(dynamic)
    x = jnp.ones((4, 2))

    @jax.jit
    def step(dynamic, state, key):
        def loss(dynamic):
            return loss_of(bjm.unfreeze_all(dynamic, static), x, key)

        value, gradient = jax.value_and_grad(loss)(dynamic)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(dynamic, updates), state, value

    for i in range(3):
        dynamic, state, value = step(dynamic, state, jax.random.fold_in(key, i))
    assert jnp.isfinite(value)
    trained = bjm.unfreeze_all(dynamic, static)
    means_moved = jnp.any(bjm.flatten_means(trained) != bjm.flatten_means(model))
    widths_moved = jnp.any(bjm.flatten_stdvs(trained) != bjm.flatten_stdvs(model))
    assert (means_moved, widths_moved) == (
        freeze is bjm.freeze_stdvs,
        freeze is bjm.freeze_means,
    )


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("freeze", [bjm.freeze_stdvs, bjm.freeze_means])
def test_training_with_equinox(freeze, key):
    model = Traps(key)
    dynamic, static = freeze(model)
    optimiser = optax.adabelief(1e-3)
    state = optimiser.init(dynamic)

    @eqx.filter_jit
    def step(dynamic, state, key):
        @eqx.filter_value_and_grad
        def loss(dynamic):
            return loss_of(eqx.combine(dynamic, static), jnp.ones((4, 2)), key)

        value, gradient = loss(dynamic)
        updates, state = optimiser.update(gradient, state, dynamic)
        return eqx.apply_updates(dynamic, updates), state, value

    before = jax.tree.leaves(dynamic)
    for i in range(2):
        dynamic, state, value = step(dynamic, state, jax.random.fold_in(key, i))
    assert jnp.isfinite(value)
    assert any(
        jnp.any(now != then)
        for now, then in zip(jax.tree.leaves(dynamic), before, strict=True)
    )


def test_unknown_names_list_near_matches(key):
    model = Traps(key)
    with pytest.raises(ValueError, match=r"has 'stdv_net.w'.*'stdv_net.W'"):
        bjm.freeze_params(model, ["W", "stdv_net.w"])
    with pytest.raises(ValueError, match="no parameter of that name.*Near matches"):
        bjm.freeze_params(model, ["stdv_net"])
    with pytest.raises(ValueError, match="It has no parameters"):
        bjm.freeze_params({}, ["W"])
    with pytest.raises(
        TypeError, match=r"`names` must be several names; write \['W'\]"
    ):
        bjm.freeze_params(model, "W")


def test_halves_of_two_partitions_are_an_error(key):
    model = Traps(key)
    means, widths = bjm.freeze_stdvs(model), bjm.freeze_means(model)
    with pytest.raises(ValueError, match="not two halves.*both have the leaf 'W.mean'"):
        bjm.unfreeze_all(means[0], widths[1])
    with pytest.raises(ValueError, match="both have the leaf 'W.raw_stdv'"):
        bjm.unfreeze_all(widths[0], means[1])


@pytest.mark.usefixtures("standard_promotion")
def test_an_optimiser_state_of_another_partition_is_an_error(key):
    model = Traps(key)
    means, widths = bjm.freeze_stdvs(model)[0], bjm.freeze_means(model)[0]
    optimiser = optax.adam(1e-3)
    with pytest.raises(TypeError, match="NoneType"):  # the words are optax's
        optimiser.update(widths, optimiser.init(means), widths)


def test_halves_of_two_models_are_an_error(key):
    dynamic, _ = bjm.freeze_stdvs(BayesianMLP(2, 1, 2, 1, key=key))
    _, static = bjm.freeze_stdvs(BayesianMLP(2, 1, 2, 2, key=key))
    with pytest.raises(ValueError, match="not two halves of one model"):
        bjm.unfreeze_all(dynamic, static)
