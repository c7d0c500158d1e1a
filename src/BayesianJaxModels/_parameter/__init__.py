from .base import (
    GROUPS as GROUPS,
    MIN_WIDTH as MIN_WIDTH,
    AbstractParameter as AbstractParameter,
    is_parameter as is_parameter,
    raw_width as raw_width,
)
from .deterministic import DeterministicParameter as DeterministicParameter
from .gaussian import GaussianParameter as GaussianParameter
from .interval import Interval as Interval
from .laplacian import LaplacianParameter as LaplacianParameter
from .low_rank import LowRankGaussianParameter as LowRankGaussianParameter
from .make import make_parameter as make_parameter
from .multivariate import MultivariateGaussianParameter as MultivariateGaussianParameter
