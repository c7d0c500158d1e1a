"""What the reference would not see by reading the source alone."""

from collections.abc import Iterator
from dataclasses import fields

import griffe

DTYPES = ("Bool", "Float", "Int", "Num", "Real", "Shaped")
NO_FIELD = ("AbstractVar", "AbstractClassVar", "ClassVar")


class Fields(griffe.Extension):
    """Constructors, shapes and functions as users meet them.

    Equinox makes the constructor of a module from its fields. The shapes in jaxtyping's
    annotations are strings. And a function may have the name of the file that it is in.
    """

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Mend the package, all of which has been read by now."""
        modules = {module.path: module for module in modules_of(pkg)}
        for module in modules.values():
            for name, member in list(module.members.items()):
                if member.is_alias:
                    file = modules.get(member.target_path)
                    if file is not None and name in file.members:
                        target = file.members[name]
                        module.set_member(name, griffe.Alias(name, target))
                elif isinstance(member, griffe.Class):
                    make_constructor(member)
                    for item in member.members.values():
                        quote_shapes_of(item)
                else:
                    quote_shapes_of(member)


def modules_of(module: griffe.Module) -> Iterator[griffe.Module]:
    """A package and all modules in it."""
    yield module
    for member in module.modules.values():
        if not member.is_alias:
            yield from modules_of(member)


def make_constructor(cls: griffe.Class) -> None:
    """Give a class without an `__init__` the one that its fields make."""
    if cls.name.startswith("Abstract"):
        return
    if "__init__" in cls.all_members:
        docstring = cls.all_members["__init__"].docstring
        if docstring and "\n\n" in docstring.value:
            # The class has said what it is, so what comes first is `Make a layer.`
            docstring.value = docstring.value.split("\n\n", 1)[1]
        return
    by_name = {}
    for base in [*reversed(cls.mro()), cls]:
        by_name |= {field.name: field for field in fields_of(base)}
    parameters = [griffe.Parameter("self"), *map(as_parameter, by_name.values())]
    init = griffe.Function(
        "__init__", parameters=griffe.Parameters(*parameters), lineno=cls.lineno
    )
    cls.set_member("__init__", init)


def fields_of(cls: griffe.Class) -> list[griffe.Attribute]:
    """The annotated attributes of a class that its constructor takes."""
    found = []
    for member in cls.attributes.values():
        annotation = str(member.annotation)
        is_field = member.annotation is not None and "property" not in member.labels
        if is_field and not any(word in annotation for word in NO_FIELD):
            found.append(member)
    return found


def as_parameter(field: griffe.Attribute) -> griffe.Parameter:
    """A field as an argument; `eqx.field(...)` is no default."""
    default = None if "field(" in str(field.value) else field.value
    kind = griffe.ParameterKind.positional_or_keyword
    return griffe.Parameter(
        field.name, annotation=field.annotation, kind=kind, default=default
    )


def quote_shapes_of(item: griffe.Object) -> None:
    """Write the shapes in the annotations of a function or attribute as strings."""
    if isinstance(item, griffe.Function):
        quote_shapes(item.returns)
        for parameter in item.parameters:
            quote_shapes(parameter.annotation)
    elif isinstance(item, griffe.Attribute):
        quote_shapes(item.annotation)


def quote_shapes(node: object) -> None:
    """Write `Float[Array, n]` as `Float[Array, "n"]`, wherever it stands in a tree."""
    if isinstance(node, list):
        for part in node:
            quote_shapes(part)
    elif isinstance(node, griffe.Expr):
        if isinstance(node, griffe.ExprSubscript) and str(node.left) in DTYPES:
            elements = node.slice.elements
            elements[-1] = '"' + str(elements[-1]).strip("'\" ") + '"'
            return
        for field in fields(node):
            if field.name != "parent":
                quote_shapes(getattr(node, field.name))
