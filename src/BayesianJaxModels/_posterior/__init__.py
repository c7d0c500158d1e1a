from .base import (
    AbstractPosterior as AbstractPosterior,
    draw_model as draw_model,
    log_prob_of as log_prob_of,
    model_of as model_of,
    moments as moments,
    parts_of as parts_of,
)
from .covariance import as_float64 as as_float64, cholesky as cholesky
from .draws import (
    AbstractDiagnostics as AbstractDiagnostics,
    DrawsPosterior as DrawsPosterior,
    weighted_moments as weighted_moments,
)
from .ensemble import EnsemblePosterior as EnsemblePosterior
from .joint import JointPosterior as JointPosterior, of_root as of_root
from .linearised import Linearised as Linearised
from .mixture import MixturePosterior as MixturePosterior
from .prior_draws import PriorDraws as PriorDraws
