from .ensemble import (
    EnsemblePosterior as EnsemblePosterior,
    MixturePosterior as MixturePosterior,
    ensemble as ensemble,
)
from .joint import JointPosterior as JointPosterior, of_root as of_root
from .moments import as_float64 as as_float64, cholesky as cholesky
from .posterior import (
    AbstractPosterior as AbstractPosterior,
    DrawsPosterior as DrawsPosterior,
    draw_model as draw_model,
    log_prob_of as log_prob_of,
    model_of as model_of,
    moments as moments,
    parts_of as parts_of,
    weighted_moments as weighted_moments,
)
from .prior_draws import PriorDraws as PriorDraws
