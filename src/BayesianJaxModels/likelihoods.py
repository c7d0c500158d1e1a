"""How data come about, given what a model predicts."""

from ._likelihood import (
    AbstractLikelihood as AbstractLikelihood,
    Censored as Censored,
    IntervalCensored as IntervalCensored,
    LogNormalLikelihood as LogNormalLikelihood,
    MultivariateNormalLikelihood as MultivariateNormalLikelihood,
    NegativeBinomialLikelihood as NegativeBinomialLikelihood,
    NormalLikelihood as NormalLikelihood,
    PoissonLikelihood as PoissonLikelihood,
    StudentTLikelihood as StudentTLikelihood,
)
