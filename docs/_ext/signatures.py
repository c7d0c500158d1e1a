"""Signatures as they stand in the source.

At run time the names of types are gone: `ScalarLike` is a union of four by then, and a
default that is a function has no name that a reader knows.
"""

import ast
import inspect
import textwrap
from dataclasses import is_dataclass

NO_FIELD = ("AbstractVar", "AbstractClassVar", "ClassVar")


def setup(app):
    """Register with Sphinx."""
    app.connect("autodoc-process-signature", process)
    return {"parallel_read_safe": True}


def process(app, what, name, thing, options, signature, returned):
    """What autodoc calls with a signature; returns the one that is shown."""
    if what == "class":
        # Where there was none, Sphinx can be given none.
        return None if signature is None else (signature_of_class(thing), None)
    if what in ("function", "method"):
        node = definition_of(inspect.unwrap(thing))
        returns = node.returns and unparse(node.returns)
        return f"({unparse(arguments(node, what == 'method'))})", returns
    return None


def signature_of_class(cls):
    """The arguments of its `__init__`, or those that its fields make of it."""
    if (init := init_of(cls)) is not None:
        return f"({unparse(arguments(definition_of(init), True))})"
    if not is_dataclass(cls) or cls.__name__.startswith("Abstract"):
        return ""
    fields = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("BayesianJaxModels"):
            fields |= {node.target.id: node for node in fields_of(base)}
    shown = []
    for name, node in fields.items():
        # `eqx.field(...)` is no default.
        is_default = node.value is not None and "field(" not in ast.unparse(node.value)
        default = f" = {unparse(node.value)}" if is_default else ""
        shown.append(f"{name}: {unparse(node.annotation)}{default}")
    return f"({', '.join(shown)})"


def init_of(cls):
    """The `__init__` that makes a class, where somebody wrote it."""
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if inspect.isfunction(init):
            # Those of dataclasses are made, and are in no file.
            return init if init.__code__.co_filename.endswith(".py") else None
    return None


def fields_of(cls):
    """The annotated lines of a class that its constructor takes."""
    for node in definition_of(cls).body:
        if isinstance(node, ast.AnnAssign):
            annotation = ast.unparse(node.annotation)
            if not any(word in annotation for word in NO_FIELD):
                yield node


def definition_of(thing):
    """The syntax tree of a class or function."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def arguments(node, is_method):
    """The arguments of a function, of a method without the first."""
    static = any(ast.unparse(it) == "staticmethod" for it in node.decorator_list)
    if is_method and not static:
        del (node.args.posonlyargs or node.args.args)[:1]
    return node.args


def unparse(node):
    """The text of a part of the source; shapes lose the blank that linters ask for."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            part.value = part.value.strip() or part.value
    return ast.unparse(node)
