from .censored import Censored as Censored, IntervalCensored as IntervalCensored
from .continuous import (
    LogNormalLikelihood as LogNormalLikelihood,
    NormalLikelihood as NormalLikelihood,
    StudentTLikelihood as StudentTLikelihood,
)
from .counts import (
    NegativeBinomialLikelihood as NegativeBinomialLikelihood,
    PoissonLikelihood as PoissonLikelihood,
)
from .likelihood import AbstractLikelihood as AbstractLikelihood
from .multivariate import MultivariateNormalLikelihood as MultivariateNormalLikelihood
