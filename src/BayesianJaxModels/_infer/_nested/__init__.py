from .diagnostics import NestedDiagnostics as NestedDiagnostics
from .importance import nested_importance as nested_importance
from .laplace import nested_laplace as nested_laplace
from .posterior import NestedPosterior as NestedPosterior
