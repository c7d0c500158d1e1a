"""Distributions to write a `Prior` with, one for each parameter."""

from ._prior import (
    LKJ as LKJ,
    AbstractPrior as AbstractPrior,
    Beta as Beta,
    Exponential as Exponential,
    Gamma as Gamma,
    HalfCauchy as HalfCauchy,
    HalfNormal as HalfNormal,
    InverseGamma as InverseGamma,
    Laplace as Laplace,
    LogNormal as LogNormal,
    MultivariateNormal as MultivariateNormal,
    Normal as Normal,
    OnNaturalScale as OnNaturalScale,
    StudentT as StudentT,
    TruncatedNormal as TruncatedNormal,
    Uniform as Uniform,
)
