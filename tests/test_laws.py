"""Laws that every parameter type, layer and module obeys."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._nuts.chain import advance, nowhere
from BayesianJaxModels._infer.density import FlatDensity
from BayesianJaxModels._model import replace_free_means
from BayesianJaxModels._model.sample import sample_with_log_prob

from .programs import equations
from .registry import EVERYTHING, MODELS, PARAMETERS

everything = pytest.mark.parametrize("name", EVERYTHING)
every_model = pytest.mark.parametrize("name", MODELS)
every_parameter = pytest.mark.parametrize("name", PARAMETERS)


def assert_gradient_is_right(loss, model):
    """Compare one directional derivative with a central difference, compiled once."""
    dynamic, static = bjm.freeze_params(model, [])
    leaves, treedef = jax.tree.flatten(dynamic)
    rng = np.random.default_rng(0)
    direction = [rng.normal(size=leaf.shape) for leaf in leaves]

    @jax.jit
    @jax.value_and_grad
    def along(step):
        moved = [leaf + step * d for leaf, d in zip(leaves, direction, strict=True)]
        return loss(bjm.unfreeze_all(treedef.unflatten(moved), static))

    slope = float(along(0.0)[1])
    difference = float(along(1e-5)[0] - along(-1e-5)[0]) / 2e-5
    assert abs(slope - difference) <= 1e-7 * (1 + abs(slope))
    return slope


def imprecise_products(jaxpr):
    """Products of matrices and convolutions that a GPU would make in three digits."""
    for equation in equations(jaxpr):
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            precision = equation.params["precision"]
            if precision != (jax.lax.Precision.HIGHEST,) * 2:
                yield equation


def assert_trees_close(left, right, tolerance=1e-6):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    assert eqx.tree_equal(left, right, typematch=True, rtol=tolerance, atol=tolerance)


@everything
def test_sampling_under_jit_and_vmap_is_plain(name, key):
    model = EVERYTHING[name](key)
    sample = eqx.filter_jit(bjm.sample_all_parameters)
    assert_trees_close(bjm.sample_all_parameters(model, key), sample(model, key))

    @jax.jit
    @jax.vmap
    def batch(key):
        return bjm.flatten_means(bjm.sample_all_parameters(model, key))

    keys = random.split(key, 3)
    one_by_one = [bjm.flatten_means(sample(model, keys[i])) for i in range(3)]
    np.testing.assert_allclose(batch(keys), one_by_one, rtol=2e-5, atol=1e-6)


@every_model
def test_calling_jit_is_plain(name, key):
    build, inputs = MODELS[name]
    model = build(key)

    def call(model, key):
        modes = (True, False)
        return [model(*inputs(), key=key, sample=sample) for sample in modes]

    plain = call(model, key)
    assert all(np.all(np.isfinite(result)) for result in plain)
    assert_trees_close(plain, eqx.filter_jit(call)(model, key), 1e-5)


@everything
def test_built_under_vmap_is_built_plainly(name, key):
    build = EVERYTHING[name]
    keys = random.split(key, 2)
    batched = eqx.filter_jit(eqx.filter_vmap(build))(keys)
    arrays, rest = eqx.partition(batched, eqx.is_array)
    for i in range(2):
        of_batch = eqx.combine(jax.tree.map(lambda leaf, i=i: leaf[i], arrays), rest)
        assert_trees_close(of_batch, build(keys[i]))


@everything
def test_drawing_changes_means_alone(name, key):
    model = EVERYTHING[name](key)
    means_before = bjm.flatten_means(model)
    drawn = bjm.sample_all_parameters(model, key)
    restored = bjm.unflatten_means(drawn, means_before)
    assert_trees_close(restored, model, tolerance=0)
    np.testing.assert_array_equal(bjm.flatten_means(model), means_before)
    for parameter, before in zip(
        bjm.get_parameters(drawn).values(),
        bjm.get_parameters(model).values(),
        strict=True,
    ):
        if not isinstance(parameter, bjm.DeterministicParameter):
            assert np.all(np.asarray(parameter.mean) != np.asarray(before.mean))


@everything
def test_gradients_of_draws_against_finite_differences(name, key, x64):
    def loss(model):
        values = bjm.flatten_means(bjm.sample_all_parameters(model, key))
        return jnp.sum(jnp.sin(values) * jnp.arange(1.0, values.size + 1))

    slope = assert_gradient_is_right(loss, EVERYTHING[name](key))
    assert (slope != 0) == (name != "empty")


@every_model
def test_gradients_of_calls_against_finite_differences(name, key, x64):
    build, inputs = MODELS[name]

    def loss(model):
        return jnp.sum(jnp.sin(model(*inputs(), key=key)))

    assert assert_gradient_is_right(loss, build(key)) != 0


@everything
def test_products_have_full_precision(name, key):
    """Draws, calls and densities with their gradients, whatever a GPU's default is."""
    model = EVERYTHING[name](key)
    inputs = MODELS[name][1]() if name in MODELS else None

    def total(model):
        drawn, log_prob = sample_with_log_prob(model, key, path_only=True)
        means = jnp.sum(bjm.flatten_means(drawn))
        widths = jnp.sum(bjm.flatten_stdvs(model)) + bjm.entropy(model)
        densities = [p.log_prob(p.mean) for p in bjm.get_parameters(model).values()]
        total = means + widths + log_prob + sum(densities)
        if inputs is None:
            return total
        return total + jnp.sum(model(*inputs, key=key))

    jaxpr = jax.make_jaxpr(lambda: eqx.filter_grad(total)(model))().jaxpr
    assert not list(imprecise_products(jaxpr))
    plain = jax.make_jaxpr(lambda x: x @ x)(jnp.ones((2, 2))).jaxpr
    assert len(list(imprecise_products(plain))) == 1


def test_engines_take_densities_at_full_precision(key):
    """The user's own products too: a log density of three digits has no posterior."""
    matrix = jnp.eye(3) + 0.5

    def log_density(drawn):
        return -0.5 * drawn.mean @ matrix @ drawn.mean

    density = FlatDensity(log_density, bjm.make_parameter(jnp.ones(3)))
    chain, plan = nowhere(np.eye(3, dtype=np.float32)), np.zeros((2, 3), np.int32)
    counts = jnp.int32(0), jnp.int32(1), jnp.float32(0.8)

    def move(chain, vector):
        return advance(density, vector, chain, key, plan, *counts, 10)

    programs = {
        "value": lambda chain, vector: density(vector),
        "gradient": lambda chain, vector: density.value_and_gradient(vector),
        "loss": lambda chain, vector: jax.grad(density.differentiable)(vector),
        "forward": lambda chain, vector: jax.grad(bjm.ForwardGradient(log_density))(
            replace_free_means(density.model, vector)
        ),
        "chain": move,
    }
    for name, program in programs.items():
        jaxpr = eqx.filter_make_jaxpr(program)(chain, density.entries)[0].jaxpr
        assert not list(imprecise_products(jaxpr)), name
    raw = jax.make_jaxpr(log_density)(density.model).jaxpr
    assert len(list(imprecise_products(raw))) == 2


@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"traps"}))
def test_shipped_models_take_jax_grad_whole(name, key):
    """Which is seen while JAX traces; others compare the values of gradients."""
    build, inputs = MODELS[name]
    model = build(key)

    @jax.grad
    def slope(model, key):
        return jnp.sum(model(*inputs(), key=key))

    gradient = jax.eval_shape(slope, model, key)
    assert jax.tree.structure(gradient) == jax.tree.structure(model)


@everything
def test_tree_map_and_serialisation_round_trips(name, key, tmp_path):
    model = EVERYTHING[name](key)
    assert_trees_close(jax.tree.map(lambda leaf: leaf, model), model, tolerance=0)
    bjm.save_model(tmp_path / "model", model)
    like = EVERYTHING[name](random.key(99))
    assert_trees_close(bjm.load_model(tmp_path / "model", like), model, tolerance=0)
    like = eqx.filter_eval_shape(EVERYTHING[name], key)
    assert_trees_close(bjm.load_model(tmp_path / "model", like), model, tolerance=0)


@everything
def test_partitions_are_disjoint_and_complete(name, key):
    model = EVERYTHING[name](key)
    names = list(bjm.get_parameters(model))
    partitions = [
        bjm.freeze_stdvs(model),
        bjm.freeze_means(model),
        bjm.freeze_params(model, names[:1]),
    ]
    leaves = jax.tree.leaves(model)
    for dynamic, static in partitions:
        of_dynamic, of_static = jax.tree.leaves(dynamic), jax.tree.leaves(static)
        assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in of_dynamic)
        assert len(of_dynamic) + len(of_static) == len(leaves)
        assert {id(leaf) for leaf in of_dynamic + of_static} == set(map(id, leaves))
        assert_trees_close(bjm.unfreeze_all(dynamic, static), model, tolerance=0)
        assert_trees_close(eqx.combine(dynamic, static), model, tolerance=0)


@everything
def test_flattened_vectors_are_parallel(name, key):
    model = EVERYTHING[name](key)
    means = bjm.flatten_means(model)
    assert means.shape == (bjm.get_parameter_count(model)["total"],)
    assert bjm.flatten_stdvs(model).shape == means.shape
    assert bjm.flatten_raw_stdvs(model).shape == means.shape
    moved = bjm.unflatten_means(model, means + 1)
    np.testing.assert_array_equal(bjm.flatten_means(moved), means + 1)
    np.testing.assert_array_equal(bjm.flatten_stdvs(moved), bjm.flatten_stdvs(model))


@everything
def test_single_and_double_precision(name, key, x64):
    def verbs(model):
        drawn = bjm.sample_all_parameters(model, key)
        return (
            bjm.flatten_means(drawn),
            bjm.flatten_stdvs(drawn),
            bjm.flatten_raw_stdvs(drawn),
            bjm.compute_prior(drawn),
            bjm.entropy(drawn),
        )

    model = eqx.filter_eval_shape(EVERYTHING[name], key)
    for dtype in (jnp.float32, jnp.float64):

        def cast(leaf, dtype=dtype):
            if not isinstance(leaf, jax.ShapeDtypeStruct):
                return leaf
            is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
            return jax.ShapeDtypeStruct(leaf.shape, dtype if is_float else leaf.dtype)

        results = eqx.filter_eval_shape(verbs, jax.tree.map(cast, model))
        assert [result.dtype for result in results] == [dtype] * 5


@everything
def test_batches_of_models_go_through_every_verb(name, key):
    @eqx.filter_jit
    def verbs(model):
        return bjm.flatten_stdvs(model), bjm.compute_prior(model), bjm.entropy(model)

    models = [EVERYTHING[name](key) for key in (key, random.key(1))]
    arrays, rest = zip(*[eqx.partition(m, eqx.is_array) for m in models], strict=True)
    batch = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *arrays)
    batched = eqx.filter_vmap(verbs)(eqx.combine(batch, rest[0]))
    for of_batch, alone in zip(batched, verbs(models[1]), strict=True):
        np.testing.assert_allclose(of_batch[1], alone, rtol=1e-5, atol=1e-6)


@every_parameter
def test_second_call_compiles_nothing(name, key):
    traces = []

    @jax.jit
    def draw(parameter, key):
        traces.append(None)
        return bjm.sample_all_parameters(parameter, key)

    draw(PARAMETERS[name](key), key)
    draw(PARAMETERS[name](random.key(1)), random.key(1))
    assert len(traces) == 1


@every_parameter
def test_statistics_of_draws_and_their_densities(name, key):
    parameter = PARAMETERS[name](key)
    num_draws = 20_000

    @jax.jit
    @jax.vmap
    def draw(key):
        drawn = parameter.sample(key)
        return drawn, parameter.log_prob(drawn)

    results = draw(random.split(key, num_draws))
    draws, log_probs = (np.asarray(result, float) for result in results)
    assert draws.shape == (num_draws, *parameter.shape)
    # Five standard errors; the kurtosis of the Laplace density, 6, is the largest.
    mean, stdv = np.asarray(parameter.mean), np.asarray(parameter.stdv)
    error_of_mean = 5 * stdv / num_draws**0.5
    assert np.all(np.abs(draws.mean(0) - mean) <= error_of_mean + 1e-6)
    error_of_stdv = 5 * stdv * (5 / (4 * num_draws)) ** 0.5
    assert np.all(np.abs(draws.std(0) - stdv) <= error_of_stdv + 1e-6)
    # The entropy is the mean of minus the log density.
    entropy = parameter.entropy()
    assert entropy.shape == ()
    assert log_probs.shape == (num_draws,)
    error = 5 * log_probs.std() / num_draws**0.5
    assert abs(float(entropy) + log_probs.mean()) <= error + 1e-5
