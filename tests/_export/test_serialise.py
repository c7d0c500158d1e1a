import os
import stat
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import BayesianMLP, LaplacianParameter, load_model, save_model
from BayesianJaxModels._export import serialise

from ..registry import Traps


@pytest.fixture
def model(key):
    return BayesianMLP(2, 1, 2, 1, key=key)


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / "model.bjm"
    save_model(path, model)
    return path


def test_typed_keys_are_refused_before_the_file_is_touched(model, key, path):
    before = path.read_bytes()
    with pytest.raises(
        TypeError, match=r"leaf \"\['key'\]\" is key<fry>\[\]. .*key_data"
    ):
        save_model(path, {"model": model, "key": key})
    assert path.read_bytes() == before
    save_model(path, {"model": model, "key": jax.random.key_data(key)})
    like = {"model": model, "key": jnp.zeros(2, jnp.uint32)}
    restored = jax.random.wrap_key_data(load_model(path, like)["key"])
    assert restored == key


def test_the_header_describes_the_model(path):
    magic, header = path.read_bytes().split(b"\n")[:2]
    assert magic == b"BayesianJaxModels model, format 1"
    for part in (
        f'"package_version": "{bjm.__version__}"',
        '"model": "BayesianMLP"',
        '"layers[0].W.mean": "float32[2, 2]"',
        '"layers[1].in_features": "2"',
        '"activation": "tanh"',
    ):
        assert part in header.decode()


def test_paths_may_be_text(path, model, key):
    like = BayesianMLP(2, 1, 2, 1, key=jax.random.key(5))
    assert eqx.tree_equal(load_model(str(path), like), model)


@pytest.mark.parametrize(
    ("like", "difference"),
    [
        (
            lambda key: BayesianMLP(2, 1, 3, 1, key=key),
            r"leaf 'layers\[0\].W.mean' is float32\[2, 2\] in the file "
            r"\(saved by version .*\) and float32\[3, 2\] in `like`",
        ),
        (
            lambda key: BayesianMLP(2, 1, 2, 2, key=key),
            r"leaf 'layers\[1\].W.mean' is float32\[1, 2\] in the file",
        ),
        (
            lambda key: BayesianMLP(2, 1, 2, 1, param_type=LaplacianParameter, key=key),
            r"leaf 'layers\[0\].W.raw_stdv' is float32\[2, 2\] in the file .* absent",
        ),
        (
            lambda key: BayesianMLP(2, 1, 2, 1, activation=jax.nn.relu, key=key),
            "static field 'activation' is tanh in the file .* and relu in `like`",
        ),
        (
            lambda key: eqx.tree_at(
                lambda m: m.layers[1].b.mean,
                BayesianMLP(2, 1, 2, 1, key=key),
                jnp.zeros(1, jnp.float16),
            ),
            r"leaf 'layers\[1\].b.mean' is float32\[1\] in the file .* float16\[1\]",
        ),
    ],
    ids=["shape", "depth", "type", "static", "dtype"],
)
def test_another_model_is_named_by_its_leaf(path, like, difference, key):
    with pytest.raises(ValueError, match="holds another model.*" + difference):
        load_model(path, like(key))


def test_another_class_with_the_same_leaves(tmp_path):
    class First(bjm.Module):
        W: jax.Array

    class Second(bjm.Module):
        W: jax.Array

    save_model(tmp_path / "first", First(jnp.ones(2)))
    with pytest.raises(
        ValueError, match=r"holds a .*First .*, but `like` is a .*Second"
    ):
        load_model(tmp_path / "first", Second(jnp.ones(2)))


def test_a_truncated_file(path, model):
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="model.bjm' is truncated: .* of .* bytes"):
        load_model(path, model)
    path.write_bytes(whole[:60])
    with pytest.raises(ValueError, match="model.bjm' is damaged"):
        load_model(path, model)


def test_a_damaged_file(path, model):
    contents = bytearray(path.read_bytes())
    contents[-3] ^= 1
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="model.bjm' is damaged"):
        load_model(path, model)


@pytest.mark.parametrize("contents", [b"", b"something else\n" * 3, b"\x80\x04K\x01."])
def test_a_foreign_file(path, model, contents):
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="is not a file that `save_model` wrote"):
        load_model(path, model)


def test_no_file(tmp_path, model):
    with pytest.raises(FileNotFoundError, match=r"nothing\.bjm"):
        load_model(tmp_path / "nothing.bjm", model)
    with pytest.raises(FileNotFoundError, match="no_folder"):
        save_model(tmp_path / "no_folder" / "model.bjm", model)


def test_an_interrupted_save_leaves_the_old_file(path, model, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(serialise.os, "fsync", interrupt)
    changed = bjm.unflatten_means(model, bjm.flatten_means(model) + 1)
    with pytest.raises(KeyboardInterrupt):
        save_model(path, changed)
    assert eqx.tree_equal(load_model(path, model), model)
    assert os.listdir(path.parent) == [path.name]


def test_files_are_as_readable_as_any(path):
    ordinary = path.parent / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_numbers_and_functions_among_the_leaves(tmp_path, key):
    model = {"traps": Traps(key), "number": 1.5, "flag": True}
    save_model(tmp_path / "model", model)
    loaded = load_model(tmp_path / "model", model | {"number": 0.0, "flag": False})
    assert eqx.tree_equal(loaded, model)


def test_another_process_reads_it(tmp_path):
    save = """
import jax, sys
from BayesianJaxModels import BayesianMLP, save_model
model = BayesianMLP(2, 1, 2, 1, activation=jax.nn.softplus, key=jax.random.key(7))
save_model(sys.argv[1], model)
"""
    subprocess.run([sys.executable, "-c", save, tmp_path / "model"], check=True)
    make = lambda seed: BayesianMLP(  # noqa: E731
        2, 1, 2, 1, activation=jax.nn.softplus, key=jax.random.key(seed)
    )
    assert eqx.tree_equal(load_model(tmp_path / "model", make(0)), make(7))
