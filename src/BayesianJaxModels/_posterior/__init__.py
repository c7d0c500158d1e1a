from .base import UNCHECKED as UNCHECKED, AbstractPosterior as AbstractPosterior
from .covariance import as_float64 as as_float64, cholesky as cholesky
from .draws import (
    AbstractDiagnostics as AbstractDiagnostics,
    DrawsPosterior as DrawsPosterior,
    weighted_moments as weighted_moments,
)
from .ensemble import EnsemblePosterior as EnsemblePosterior
from .joint import JointPosterior as JointPosterior, of_root as of_root
from .linearised import Linearised as Linearised
from .mean_field import as_posterior as as_posterior, moments as moments
from .mixture import MixturePosterior as MixturePosterior
from .of_subjects import OfSubjects as OfSubjects
from .prior_draws import PriorDraws as PriorDraws
from .table import (
    PosteriorTable as PosteriorTable,
    posterior_table as posterior_table,
)
