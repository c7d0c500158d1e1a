from .distribution import (
    AbstractPrior as AbstractPrior,
    Laplace as Laplace,
    Normal as Normal,
    OnNaturalScale as OnNaturalScale,
    StudentT as StudentT,
)
from .interval import (
    Beta as Beta,
    TruncatedNormal as TruncatedNormal,
    Uniform as Uniform,
)
from .positive import (
    Exponential as Exponential,
    Gamma as Gamma,
    HalfCauchy as HalfCauchy,
    HalfNormal as HalfNormal,
    InverseGamma as InverseGamma,
    LogNormal as LogNormal,
)
from .prior import (
    Prior as Prior,
    kl_to_prior as kl_to_prior,
    log_prior as log_prior,
    sample_prior as sample_prior,
)
