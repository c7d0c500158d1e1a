import ast
import importlib.metadata
import inspect
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._moved import NAMESPACES

NAMES = [
    "AbstractJumps",
    "AbstractParameter",
    "AbstractPosterior",
    "AbstractProblem",
    "AbstractVectorField",
    "AllFailedError",
    "Bayesian",
    "BayesianLinear",
    "BayesianMLP",
    "DeterministicParameter",
    "Diagnosis",
    "Doses",
    "DrawsPosterior",
    "ELBO",
    "EnsemblePosterior",
    "ForwardGradient",
    "GaussianParameter",
    "HybridVectorField",
    "ImportanceDiagnostics",
    "Inference",
    "JointPosterior",
    "Jumps",
    "LaplacianParameter",
    "Linearised",
    "LowRankGaussianParameter",
    "MAPEstimate",
    "MixturePosterior",
    "Mode",
    "ModelVectorField",
    "Module",
    "MultivariateGaussianParameter",
    "NUTSDiagnostics",
    "NestedDiagnostics",
    "NestedPosterior",
    "NeuralVectorField",
    "ParameterTable",
    "Population",
    "PosteriorTable",
    "Prediction",
    "Prior",
    "PriorDraws",
    "Problem",
    "RunningSummary",
    "SecondOrderVectorField",
    "Solve",
    "Subject",
    "Summary",
    "Trajectory",
    "compute_prior",
    "correlation_factor",
    "diagnose",
    "elbo",
    "ensemble",
    "entropy",
    "flatten_means",
    "flatten_raw_stdvs",
    "flatten_stdvs",
    "freeze_means",
    "freeze_params",
    "freeze_stdvs",
    "gaussian_entropy",
    "get_parameter_count",
    "get_parameter_groups",
    "get_parameters",
    "importance",
    "infer",
    "integrate",
    "kl_divergence",
    "kl_to_prior",
    "laplace",
    "laplacian_entropy",
    "linear_response",
    "load_model",
    "log_prior",
    "make_parameter",
    "map_estimate",
    "map_posterior",
    "map_posterior_pure",
    "nested_importance",
    "nested_laplace",
    "noncentred",
    "nuts",
    "parameter_table",
    "pareto_smooth",
    "posterior_table",
    "posterior_to_datatree",
    "posterior_trajectories",
    "predict",
    "prediction_to_datatree",
    "read_events",
    "sample_all_parameters",
    "sample_prior",
    "save_model",
    "stream_posterior",
    "summarise",
    "trajectory_to_datatree",
    "unflatten_means",
    "unfreeze_all",
]


def test_public_names():
    everything = inspect.getmembers(bjm, lambda thing: not inspect.ismodule(thing))
    public = [name for name, _ in everything if not name.startswith("_")]
    assert public == NAMES


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_what_namespaces_hold_is_theirs(namespace):
    module = getattr(bjm, namespace)
    things = inspect.getmembers(module, lambda thing: not inspect.ismodule(thing))
    names = [name for name, _ in things if not name.startswith("_")]
    assert names
    assert not {*names} & {*NAMES}
    for name in names:
        assert inspect.getdoc(getattr(module, name))


def test_the_front_door_holds_no_logic():
    tree = ast.parse(Path(bjm.__file__).read_text())
    docstring, *statements = tree.body
    assert isinstance(docstring, ast.Expr)
    guard = statements.pop()
    assert isinstance(guard, ast.If)
    assert ast.unparse(guard.test) == "typing.TYPE_CHECKING"
    assert ast.unparse(statements.pop(0)) == "import typing"
    for statement in [*statements, *guard.body]:
        assert isinstance(statement, ast.ImportFrom)
        assert all(alias.asname == alias.name for alias in statement.names)


@pytest.mark.parametrize(
    ("wing", "name"), [("_calibrate", "calibration.coverage"), ("_train", "train.fit")]
)
def test_some_namespaces_are_imported_when_they_are_asked_for(wing, name):
    late = f"import sys, BayesianJaxModels as bjm; wing = 'BayesianJaxModels.{wing}'; "
    late += f"assert wing not in sys.modules; bjm.{name}; assert wing in sys.modules"
    subprocess.run([sys.executable, "-c", late], check=True)


def test_version_is_that_of_the_distribution():
    assert bjm.__version__ == importlib.metadata.version("BayesianJaxModels")


def test_types_are_shipped():
    assert (Path(bjm.__file__).parent / "py.typed").exists()


IN_NAMESPACES = [
    f"{namespace}.{name}"
    for namespace in NAMESPACES
    for name, _ in inspect.getmembers(
        getattr(bjm, namespace), lambda thing: not inspect.ismodule(thing)
    )
    if not name.startswith("_")
]


@pytest.mark.parametrize("name", NAMES + IN_NAMESPACES)
def test_public_names_are_documented(name):
    thing = attrgetter(name)(bjm)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        methods = inspect.getmembers(thing, inspect.isfunction)
        properties = inspect.getmembers(thing, lambda m: isinstance(m, property))
        for method_name, method in methods + properties:
            if not method_name.startswith("_"):
                assert inspect.getdoc(method), f"{name}.{method_name}"


def test_importing_is_quick():
    """Within 1.5 s, or half as long again as its dependencies where they take long."""
    measure = """
import time, jax
start = time.perf_counter()
import diffrax, equinox, jaxtyping, optax
dependencies = time.perf_counter() - start
import BayesianJaxModels
print((time.perf_counter() - start) / max(1, dependencies))
"""
    seconds = [
        float(subprocess.check_output([sys.executable, "-c", measure], text=True))
        for _ in range(3)
    ]
    # What else the machine does only adds to it.
    assert min(seconds) < 1.5
