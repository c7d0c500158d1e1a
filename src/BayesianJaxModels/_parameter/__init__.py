from .base import AbstractParameter as AbstractParameter
from .deterministic import DeterministicParameter as DeterministicParameter
from .gaussian import GaussianParameter as GaussianParameter
from .laplacian import LaplacianParameter as LaplacianParameter
from .low_rank import LowRankGaussianParameter as LowRankGaussianParameter
from .make import make_parameter as make_parameter
from .multivariate import MultivariateGaussianParameter as MultivariateGaussianParameter
