"""The shape of the house, read from the source."""

import ast
import builtins
import re
from collections import Counter
from pathlib import Path

import pytest

import BayesianJaxModels

PACKAGE = Path(BayesianJaxModels.__file__).parent
# Data flows down this list, so a wing imports from the wings above it and from itself.
WINGS = [
    "_version",
    "_check",
    "_compute",
    "_gradient",
    "_special",
    "_parameter",
    "_model",
    "_layer",
    "_dynamics",
    "_prior",
    "_likelihood",
    "_problem",
    "_posterior",
    "_train",
    "_infer",
    "_predict",
    "_calibrate",
    "_export",
    "plot",
    "priors",
    "likelihoods",
    "train",
    "calibration",
    "_moved",
    "__init__",
]
STRANGERS = {
    ("_prior", "_dynamics"),
    ("_likelihood", "_dynamics"),
    ("_posterior", "_dynamics"),
    ("_infer", "_dynamics"),
    ("__init__", "plot"),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def wing_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """The modules that a file imports from, and the names that it takes of them."""
    package = ["BayesianJaxModels", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = base + (node.module.split(".") if node.module else [])
            yield from ((stem, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name.split("."), None) for alias in node.names)


def imported_wings(path):
    for stem, name in imports(path):
        module = [*stem, name]
        if module[0] == "BayesianJaxModels":
            yield module[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    wing = wing_of(path)
    assert wing in WINGS
    for imported in imported_wings(path):
        assert WINGS.index(imported) <= WINGS.index(wing), f"{wing} <- {imported}"
        assert (wing, imported) not in STRANGERS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_wings_speak_through_what_they_export(path):
    for stem, name in imports(path):
        if stem[0] == "BayesianJaxModels" and stem[1:2] != [wing_of(path)]:
            assert len(stem) <= 2, f"{'.'.join(stem)} is private to its wing"
            is_module = (PACKAGE.joinpath(*stem[1:]) / f"{name}.py").exists()
            assert not is_module or stem == ["BayesianJaxModels"] or exports(stem, name)


def exports(stem, name):
    """Whether a wing's `__init__` takes the name from one of its modules."""
    return any(
        given == name and len(inside) > len(stem)
        for inside, given in imports(PACKAGE.joinpath(*stem[1:]) / "__init__.py")
    )


def test_no_folder_is_large():
    sizes = Counter(path.parent for path in FILES)
    assert max(sizes.values()) <= 14, sizes.most_common(1)


def test_the_import_reader_reads():
    entropy = PACKAGE / "_model" / "entropy.py"
    assert set(imported_wings(entropy)) == {"_check", "_parameter", "_model"}
    assert {"_layer", "_model", "_parameter"} <= set(
        imported_wings(PACKAGE / "__init__.py")
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_habits(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"super", "hasattr"}
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__"


def test_kinds_of_parameters_answer_for_themselves():
    for path in FILES:
        if wing_of(path) != "_parameter":
            assert not re.search(r"isinstance\(.*Parameter", path.read_text()), path


def test_classes_are_abstract_or_final():
    extensible = {
        "AbstractDiagnostics",
        "AbstractEstimate",
        "AbstractJumps",
        "AbstractLikelihood",
        "AbstractLocationScale",
        "AbstractMixture",
        "AbstractParameter",
        "AbstractPosterior",
        "AbstractPrior",
        "AbstractProblem",
        "AbstractVectorField",
        "Module",
    }
    bases = {
        base.id
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and not hasattr(builtins, base.id)
    } - {"NamedTuple"}  # a record
    assert bases == extensible


def test_tests_mirror_the_source():
    tests = Path(__file__).parent
    missing = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if has_logic(path) and not home_of_tests(path, tests).exists()
    ]
    assert missing == []


def has_logic(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(isinstance(node, ast.FunctionDef) for node in nodes)


def home_of_tests(path, tests):
    """`_prior/beta.py` has `tests/_prior/test_beta.py`."""
    folder = tests / path.relative_to(PACKAGE).parent
    return folder / f"test_{path.stem.removeprefix('_')}.py"
