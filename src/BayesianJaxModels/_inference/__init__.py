from .censored import (
    Censored as Censored,
    IntervalCensored as IntervalCensored,
)
from .chain_diagnostics import NUTSDiagnostics as NUTSDiagnostics
from .clip import (
    ClipState as ClipState,
    clip_finite_by_global_norm as clip_finite_by_global_norm,
)
from .continuous import (
    LogNormalLikelihood as LogNormalLikelihood,
    NormalLikelihood as NormalLikelihood,
    StudentTLikelihood as StudentTLikelihood,
)
from .counts import (
    NegativeBinomialLikelihood as NegativeBinomialLikelihood,
    PoissonLikelihood as PoissonLikelihood,
)
from .density import ForwardGradient as ForwardGradient
from .diagnose import (
    Diagnosis as Diagnosis,
    diagnose as diagnose,
)
from .distribution import (
    AbstractPrior as AbstractPrior,
    Laplace as Laplace,
    Normal as Normal,
    OnNaturalScale as OnNaturalScale,
    StudentT as StudentT,
)
from .elbo import (
    ELBO as ELBO,
    elbo as elbo,
)
from .ensemble import (
    EnsemblePosterior as EnsemblePosterior,
    MixturePosterior as MixturePosterior,
    ensemble as ensemble,
)
from .importance import (
    ImportanceDiagnostics as ImportanceDiagnostics,
    importance as importance,
)
from .interval import (
    Beta as Beta,
    TruncatedNormal as TruncatedNormal,
    Uniform as Uniform,
)
from .joint import (
    JointPosterior as JointPosterior,
)
from .laplace import (
    Linearised as Linearised,
    laplace as laplace,
)
from .likelihood import (
    AbstractLikelihood as AbstractLikelihood,
)
from .linear_response import (
    linear_response as linear_response,
)
from .map_estimate import (
    MAPEstimate as MAPEstimate,
    map_estimate as map_estimate,
)
from .modes import Mode as Mode
from .multivariate import (
    MultivariateNormalLikelihood as MultivariateNormalLikelihood,
)
from .nuts import nuts as nuts
from .positive import (
    Exponential as Exponential,
    Gamma as Gamma,
    HalfCauchy as HalfCauchy,
    HalfNormal as HalfNormal,
    InverseGamma as InverseGamma,
    LogNormal as LogNormal,
)
from .posterior import (
    AbstractPosterior as AbstractPosterior,
    DrawsPosterior as DrawsPosterior,
    draw_model as draw_model,
    model_of as model_of,
)
from .prior import (
    Prior as Prior,
    PriorDraws as PriorDraws,
    kl_to_prior as kl_to_prior,
    log_prior as log_prior,
    sample_prior as sample_prior,
)
from .psis import (
    pareto_smooth as pareto_smooth,
)
