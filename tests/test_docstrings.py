"""Every public name says what it takes, gives and raises, and its example runs."""

import ast
import inspect
import re
import textwrap
from dataclasses import fields, is_dataclass

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels._moved import NAMESPACES

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

THINGS = {
    stem + name: thing
    for stem, module in (
        ("", bjm),
        ("plot.", plot),
        *((f"{name}.", getattr(bjm, name)) for name in NAMESPACES),
    )
    for name, thing in inspect.getmembers(module, lambda it: not inspect.ismodule(it))
    if not name.startswith("_")
}
FUNCTIONS = [name for name, thing in THINGS.items() if inspect.isfunction(thing)]
CLASSES = [
    name
    for name, thing in THINGS.items()
    if inspect.isclass(thing) and not issubclass(thing, Exception)
]


def sections(docstring):
    """The indented text under each title of a docstring."""
    found = re.findall(
        r"^([A-Z]\w+):\n((?:(?: +.*)?(?:\n|$))+)",
        inspect.cleandoc(docstring or ""),
        flags=re.MULTILINE,
    )
    return {title: textwrap.dedent(text) for title, text in found}


def named(docstring, *titles):
    """What has an entry in these sections, stars and types left out."""
    entries = [
        re.findall(r"^(\*{0,2}\w+(?:, \w+)*):", text, flags=re.MULTILINE)
        for title, text in sections(docstring).items()
        if title in titles
    ]
    names = ", ".join(entry for section in entries for entry in section).split(", ")
    return {name.lstrip("*") for name in names}


def arguments(function):
    return set(inspect.signature(function).parameters) - {"self", "cls"}


def example_of(thing):
    text = sections(thing.__doc__).get("Example", "")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, "one section `Example:` with one ```python block"
    return blocks[0]


def promise(lines, node):
    """The literal in the comment behind or below an expression, with its decimals."""
    behind = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
    below = lines[node.end_lineno] if node.end_lineno < len(lines) else ""
    comment = behind.strip() or below
    for text in (comment, comment.split(": ")[0]):
        try:
            literal = ast.literal_eval(text.removeprefix("#").strip())
        except (SyntaxError, ValueError):
            continue
        return literal, max(map(len, re.findall(r"\.(\d+)", text)), default=0)
    return None


def is_number(literal):
    if isinstance(literal, list | tuple):
        return all(is_number(item) for item in literal)
    return isinstance(literal, int | float)


def keep(literal, decimals, value):
    """Hold a value to what the comment says, to the digits that it shows."""
    if is_number(literal):
        value = np.asarray(value, float)
        assert value.shape == np.shape(literal)
        atol = 0.51 * 10**-decimals if decimals else 0
        np.testing.assert_allclose(value, literal, rtol=0, atol=atol)
    elif isinstance(literal, list | tuple):
        assert len(value) == len(literal)
        for one, told in zip(value, literal, strict=True):
            keep(told, decimals, one)
    else:
        assert value == literal


@pytest.mark.parametrize("name", THINGS)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = example_of(THINGS[name])
    lines = block.splitlines()
    names = {"jax": jax, "jnp": jnp, "np": np, "optax": optax, "eqx": eqx}
    names |= {"diffrax": diffrax, "bjm": bjm, "__name__": "example"}
    names |= {"plot": plot} if name.startswith("plot.") else {}
    # Readers have JAX's default promotion, and optax needs it.
    with jax.numpy_dtype_promotion("standard"):
        for node in ast.parse(block).body:
            if isinstance(node, ast.Expr):
                code = compile(ast.Expression(node.value), name, "eval")
                value = eval(code, names)
                if promised := promise(lines, node):
                    keep(*promised, value)
            else:
                exec(compile(ast.Module([node], []), name, "exec"), names)
    pyplot.close("all")


def test_promises_are_kept():
    lines = ["x  # [0.52, 1]", "y  # (3, 2): of each", "z", "# {'a': 1}", "w  # more"]
    x, y, z, w = ast.parse("\n".join(lines)).body
    assert promise(lines, x) == ([0.52, 1], 2)
    assert promise(lines, y) == ((3, 2), 0)
    assert promise(lines, z) == ({"a": 1}, 0)
    assert promise(lines, w) is None
    keep([0.52, 1], 2, jnp.array([0.5249, 1.0]))
    for value in (jnp.array([0.526, 1.0]), jnp.array(0.52), jnp.array([[0.52, 1.0]])):
        with pytest.raises(AssertionError):
            keep([0.52, 1], 2, value)
    keep(("a", [1.0]), 1, ("a", jnp.ones(1)))
    with pytest.raises(AssertionError):
        keep(["a", "b"], 0, ["a", "c"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_and_give(name):
    function = THINGS[name]
    missing = arguments(function) - named(function.__doc__, "Args")
    assert not missing
    if inspect.signature(function).return_annotation is not None:
        assert sections(function.__doc__).keys() & {"Returns", "Yields"}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_say_what_they_hold(name):
    cls = THINGS[name]
    held = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
    held = {field for field in held if not field.startswith("_")}
    told = named(cls.__doc__, "Args", "Attributes")
    assert not held - told
    assert not arguments(cls.__init__) - told - named(cls.__init__.__doc__, "Args")


@pytest.mark.parametrize("name", CLASSES)
def test_methods_say_what_they_take(name):
    """There, or in the contract of the abstract class."""
    cls = THINGS[name]
    for method, function in inspect.getmembers(cls, inspect.isroutine):
        bases = [vars(base) for base in cls.__mro__ if method in vars(base)]
        is_public = method == "__call__" or not method.startswith("_")
        if is_public and bases[0]["__module__"].startswith("BayesianJaxModels"):
            docstrings = [base[method].__doc__ for base in bases]
            told = set().union(*(named(text, "Args") for text in docstrings))
            assert not arguments(function) - told, method


@pytest.mark.parametrize("name", THINGS)
def test_errors_are_told(name):
    """What the source of a public name raises, one of its docstrings says."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(THINGS[name])))
    raised, told = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            raised.add(ast.unparse(node.exc.func))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            told |= named(ast.get_docstring(node), "Raises")
    assert not raised - told
