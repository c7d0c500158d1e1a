from ._joint import (
    LKJ as LKJ,
    MultivariateNormal as MultivariateNormal,
    correlation_factor as correlation_factor,
)
from .base import AbstractPrior as AbstractPrior
from .beta import Beta as Beta
from .gamma import (
    Exponential as Exponential,
    Gamma as Gamma,
    InverseGamma as InverseGamma,
)
from .half import HalfCauchy as HalfCauchy, HalfNormal as HalfNormal
from .laplace import Laplace as Laplace
from .log_normal import LogNormal as LogNormal
from .natural_scale import OnNaturalScale as OnNaturalScale
from .normal import Normal as Normal
from .prior import (
    Prior as Prior,
    kl_to_prior as kl_to_prior,
    log_prior as log_prior,
    sample_prior as sample_prior,
)
from .student_t import StudentT as StudentT
from .truncated_normal import TruncatedNormal as TruncatedNormal
from .uniform import Uniform as Uniform
