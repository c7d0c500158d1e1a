import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels._model.tree import (
    common_dtype,
    flatten_named,
    has_mean,
    map_parameters,
    map_parts,
    name_of,
    ravel_all,
    replace_mean,
)


class Pair(bjm.Module):
    first: bjm.AbstractParameter
    rest: list


MODEL = Pair(
    bjm.make_parameter([1.0, 2.0]), [jnp.ones(3), {"x": bjm.make_parameter(5.0)}]
)


def test_names_are_spelled_as_python_does():
    named, treedef = flatten_named(MODEL)
    assert [name for name, _ in named] == ["first", "rest[0]", "rest[1]['x']"]
    nodes = [node for _, node in named]
    assert nodes[0] is MODEL.first
    assert nodes[2] is MODEL.rest[1]["x"]
    assert jax.tree.structure(jax.tree.unflatten(treedef, nodes)) == (
        jax.tree.structure(MODEL)
    )
    assert [name for name, _ in flatten_named(MODEL.first)[0]] == [""]
    assert (
        name_of((jax.tree_util.GetAttrKey("a"), jax.tree_util.SequenceKey(2))) == "a[2]"
    )


def test_parameters_are_replaced_by_their_place_and_nothing_else():
    found = map_parameters(lambda i, p: (i, p.shape), MODEL)
    assert found.first == (0, (2,))
    assert found.rest[1]["x"] == (1, ())
    assert found.rest[0] is MODEL.rest[0]


def test_what_is_frozen_is_kept_and_has_no_place():
    dynamic, _ = bjm.freeze_params(MODEL, ["first"])
    assert not has_mean(dynamic.first)
    assert has_mean(MODEL.first)
    found = map_parameters(lambda i, p: i, dynamic)
    assert found.first is dynamic.first
    assert found.rest[1]["x"] == 0


def test_one_part_of_a_parameter_is_its_mean():
    seen = map_parts(lambda is_mean, leaf: is_mean, MODEL.first)
    assert (seen.mean, seen.raw_stdv) == (True, False)


def test_another_location_keeps_the_widths():
    moved = replace_mean(MODEL.first, jnp.array([7.0, 8.0]))
    np.testing.assert_array_equal(moved.mean, [7, 8])
    assert moved.raw_stdv is MODEL.first.raw_stdv
    np.testing.assert_array_equal(MODEL.first.mean, [1, 2])


def test_arrays_of_any_shape_and_precision_go_into_one_vector(x64):
    arrays = [
        jnp.ones((2, 2), jnp.float32),
        jnp.zeros(()),
        jnp.zeros((0, 3), jnp.float16),
    ]
    vector = ravel_all(arrays)
    assert vector.dtype == common_dtype(arrays) == jnp.float64
    np.testing.assert_array_equal(vector, [1, 1, 1, 1, 0])
    assert ravel_all([]).shape == (0,)
    assert common_dtype([jnp.ones(1, jnp.float16), jnp.ones(1, jnp.bfloat16)]) == (
        jnp.float32
    )
