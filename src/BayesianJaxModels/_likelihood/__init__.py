from .base import AbstractLikelihood as AbstractLikelihood
from .censored import Censored as Censored, IntervalCensored as IntervalCensored
from .log_normal import LogNormalLikelihood as LogNormalLikelihood
from .multivariate_normal import (
    MultivariateNormalLikelihood as MultivariateNormalLikelihood,
)
from .negative_binomial import NegativeBinomialLikelihood as NegativeBinomialLikelihood
from .normal import NormalLikelihood as NormalLikelihood
from .observe import observed as observed
from .poisson import PoissonLikelihood as PoissonLikelihood
from .student_t import StudentTLikelihood as StudentTLikelihood
