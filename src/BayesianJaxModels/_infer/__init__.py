from ._auto.infer import infer as infer
from ._auto.inference import Inference as Inference
from ._importance.importance import (
    ImportanceDiagnostics as ImportanceDiagnostics,
    importance as importance,
)
from ._importance.psis import pareto_smooth as pareto_smooth
from ._nested import (
    NestedDiagnostics as NestedDiagnostics,
    NestedPosterior as NestedPosterior,
    nested_importance as nested_importance,
    nested_laplace as nested_laplace,
)
from ._nuts.diagnostics import NUTSDiagnostics as NUTSDiagnostics
from ._nuts.nuts import nuts as nuts
from ._search.modes import Mode as Mode
from .density import ForwardGradient as ForwardGradient
from .diagnose import Diagnosis as Diagnosis, diagnose as diagnose
from .elbo import ELBO as ELBO, elbo as elbo
from .ensemble import ensemble as ensemble
from .laplace import laplace as laplace
from .linear_response import linear_response as linear_response
from .map_estimate import MAPEstimate as MAPEstimate, map_estimate as map_estimate
