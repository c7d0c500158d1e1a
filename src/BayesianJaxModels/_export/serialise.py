"""Save a model to a file and load it again.

A file is a line that names the format, a line of JSON that describes the model, and the
leaves as `equinox.tree_serialise_leaves` writes them. Loading executes nothing in it.
"""

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._model import Model, name_of
from .._version import __version__

_MAGIC = b"BayesianJaxModels model, format 1\n"


def save_model(path: str | os.PathLike, model: PyTree) -> None:
    """Save the leaves of a model, with a description that loading checks.

    An interrupted save leaves an earlier file as it was.

    Args:
        path: Where to write. The folder must exist; a file of the name is replaced.
        model: Any pytree. Arrays and numbers are stored; functions and other objects
            are only described.

    Raises:
        FileNotFoundError: If there is no such folder.
        TypeError: If a leaf is a typed key of JAX, which files cannot hold; the message
            names it. Store `jax.random.key_data(key)` in its place.

    Example:
        ```python
        mlp = bjm.BayesianMLP(2, 1, width=16, depth=1, key=jax.random.key(0))
        bjm.save_model("mlp.bjm", mlp)
        ```
    """
    _check_no_keys(model)
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, model)
    payload = buffer.getvalue()
    header = _describe(model) | {
        "package_version": __version__,
        "num_bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(_MAGIC)
            file.write(json.dumps(header).encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | os.PathLike, like: Model) -> Model:
    """Load a model that `save_model` wrote.

    Args:
        path: The file.
        like: A model built as the saved one was: the same structure, shapes, dtypes and
            static fields, any values. `equinox.filter_eval_shape` of your constructor
            will do.

    Returns:
        A model in the structure of `like` with the saved values.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the file is not one of ours, is truncated or damaged, or holds
            another model; the message names the leaf or field and both sides.

    Example:
        ```python
        def make(key):
            return bjm.BayesianLinear(2, 16, key=key)

        bjm.save_model("layer.bjm", make(jax.random.key(0)))
        like = eqx.filter_eval_shape(make, jax.random.key(0))
        bjm.load_model("layer.bjm", like).W.shape  # (16, 2)
        ```
    """
    with open(path, "rb") as file:
        if file.readline() != _MAGIC:
            raise ValueError(
                f"`path` {os.fspath(path)!r} is not a file that `save_model` wrote, or "
                "is of a format that this version does not know."
            )
        try:
            header = json.loads(file.readline())
        except ValueError as error:
            raise ValueError(_damaged(path)) from error
        payload = file.read()
    if len(payload) < header["num_bytes"]:
        raise ValueError(
            f"`path` {os.fspath(path)!r} is truncated: {len(payload)} of "
            f"{header['num_bytes']} bytes of leaves are there."
        )
    if hashlib.sha256(payload).hexdigest() != header["sha256"]:
        raise ValueError(_damaged(path))
    _check_same_model(header, _describe(like))
    return eqx.tree_deserialise_leaves(io.BytesIO(payload), like)


def _check_no_keys(model: PyTree) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(model)[0]:
        if eqx.is_array(leaf) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError(
                "`model` holds a typed key of JAX, which files cannot hold: leaf "
                f"{name_of(path)!r} is {leaf.dtype}{list(leaf.shape)}. Store "
                "`jax.random.key_data(key)` and make it a key again by "
                "`jax.random.wrap_key_data`."
            )


def _damaged(path: str | os.PathLike) -> str:
    return f"`path` {os.fspath(path)!r} is damaged: its contents fail their checksum."


def _check_same_model(saved: dict[str, Any], like: dict[str, Any]) -> None:
    version = f" (saved by version {saved['package_version']})"
    for part, noun in (("leaves", "leaf"), ("static", "static field")):
        for name in dict.fromkeys([*saved[part], *like[part]]):
            of_saved = saved[part].get(name, "absent")
            of_like = like[part].get(name, "absent")
            if of_saved != of_like:
                raise ValueError(
                    f"The file holds another model than `like`: {noun} {name!r} is "
                    f"{of_saved} in the file{version} and {of_like} in `like`."
                )
    if saved["model"] != like["model"]:
        raise ValueError(
            f"The file holds a {saved['model']}{version}, but `like` is a "
            f"{like['model']}."
        )


def _describe(model: PyTree) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(model)
    return {
        "model": type(model).__qualname__,
        "leaves": {name_of(path): _describe_leaf(leaf) for path, leaf in leaves},
        "static": _static_fields(model, ()),
    }


def _describe_leaf(leaf: Any) -> str:
    if isinstance(leaf, jax.ShapeDtypeStruct) or eqx.is_array_like(leaf):
        return f"{np.dtype(jax.numpy.result_type(leaf)).name}{list(np.shape(leaf))}"
    return _spell(leaf)


def _static_fields(node: PyTree, path: tuple) -> dict[str, str]:
    fields = {}
    if dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            if field.metadata.get("static", False):
                name = name_of((*path, jax.tree_util.GetAttrKey(field.name)))
                fields[name] = _spell(getattr(node, field.name))
    children, _ = jax.tree_util.tree_flatten_with_path(
        node, is_leaf=lambda child: child is not node
    )
    for step, child in children:
        if step:
            fields |= _static_fields(child, path + step)
    return fields


def _spell(value: Any) -> str:
    """Without the module of a function, which may move, and addresses in memory."""
    spelled = getattr(value, "__qualname__", None) or repr(value)
    return type(value).__qualname__ if " at 0x" in spelled else spelled
