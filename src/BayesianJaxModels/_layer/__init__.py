from .bayesian import Bayesian as Bayesian
from .linear import BayesianLinear as BayesianLinear
from .mlp import BayesianMLP as BayesianMLP
