from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from BayesianJaxModels._predict import label_of


class State(eqx.Module):
    prey: np.ndarray
    rest: dict


class Pair(NamedTuple):
    q: float
    v: float


def labels(tree, index=()):
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    return [label_of(path, index, "y") for path in paths]


def test_a_leaf_alone_has_the_name_of_the_root():
    assert labels(1.0) == ["y"]
    assert labels(1.0, (0,)) == ["y[0]"]
    assert labels(1.0, (2, 1)) == ["y[2, 1]"]


def test_names_stand_without_the_root_and_numbers_with_it():
    assert labels({"prey": 1.0, "hunter": 2.0}) == ["hunter", "prey"]
    assert labels((1.0, [2.0])) == ["y[0]", "y[1][0]"]
    assert labels((1.0, 2.0), (3,)) == ["y[0][3]", "y[1][3]"]
    assert labels(Pair(1.0, 2.0), (0,)) == ["q[0]", "v[0]"]
    assert labels({3: 1.0}) == ["y[3]"]


def test_names_on_the_way_are_joined_by_dots():
    tree = State(1.0, {"deep": (2.0, 3.0)})
    assert labels(tree) == ["prey", "rest.deep[0]", "rest.deep[1]"]
    assert labels(({"a": 1.0},), (4,)) == ["y[0].a[4]"]


def test_labels_of_different_leaves_differ():
    tree = {"a": (1.0, {"b": 2.0}), "b": [State(3.0, {"a": 4.0}), Pair(5.0, 6.0)]}
    found = labels(tree)
    assert len(set(found)) == len(found) == 6
