import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels._model import map_parameters, name_of, ravel_all, replace_mean
from BayesianJaxModels._model.tree import (
    common_dtype,
    flatten_named,
    has_mean,
    map_parts,
)

RATE, START = bjm.make_parameter(0.5), bjm.make_parameter([1.0, 2.0])
MODEL = {"a": [RATE, "a name"], "b": (START, jnp.ones(3))}


def test_nodes_are_whole_parameters_and_every_leaf_outside():
    named, treedef = flatten_named(MODEL)
    names = [name for name, _ in named]
    assert names == ["['a'][0]", "['a'][1]", "['b'][0]", "['b'][1]"]
    assert named[0][1] is RATE
    assert named[2][1] is START
    again = jax.tree.unflatten(treedef, [node for _, node in named])
    assert again["a"][0] is RATE


def test_paths_are_spelled_as_python_does():
    layer = bjm.BayesianLinear(2, 1, key=jax.random.key(0))
    paths, _ = jax.tree_util.tree_flatten_with_path({"net": [layer]})
    assert name_of(paths[0][0]) == "['net'][0].W.mean"
    paths, _ = jax.tree_util.tree_flatten_with_path(layer)
    assert name_of(paths[0][0]) == "W.mean"


def test_every_parameter_is_mapped_with_its_index_and_the_rest_kept():
    seen = []

    def fn(index, parameter):
        seen.append((index, parameter.shape))
        return replace_mean(parameter, parameter.mean + index + 1)

    moved = map_parameters(fn, MODEL)
    assert seen == [(0, ()), (1, (2,))]
    assert moved["a"][0].mean == 1.5
    np.testing.assert_array_equal(moved["b"][0].mean, [3.0, 4.0])
    assert moved["a"][1] == "a name"
    assert moved["b"][1] is MODEL["b"][1]


def test_the_half_of_a_partition_without_the_mean_has_no_index():
    dynamic, static = bjm.freeze_params([RATE, START], ["[0]"])
    assert [has_mean(p) for p in dynamic] == [False, True]
    assert not has_mean(jnp.ones(2))
    indices = []
    map_parameters(lambda index, p: indices.append(index) or p, dynamic)
    assert indices == [0]
    assert [has_mean(p) for p in static] == [True, False]


def test_parts_of_a_parameter_know_which_is_the_mean():
    parts = map_parts(lambda is_mean, leaf: -leaf if is_mean else 2 * leaf, START)
    np.testing.assert_array_equal(parts.mean, -START.mean)
    np.testing.assert_array_equal(parts.raw_stdv, 2 * START.raw_stdv)


def test_arrays_are_raveled_in_the_widest_precision(x64):
    arrays = [jnp.ones((1, 2), jnp.float32), jnp.zeros((), jnp.float64)]
    assert common_dtype(arrays) == jnp.float64
    raveled = ravel_all(arrays)
    assert raveled.dtype == jnp.float64
    np.testing.assert_array_equal(raveled, [1.0, 1.0, 0.0])
    assert ravel_all(arrays[:1]).dtype == jnp.float32
    assert ravel_all([]).shape == (0,)
