from .correlations import correlation_factor as correlation_factor
from .lkj import LKJ as LKJ
from .multivariate_normal import MultivariateNormal as MultivariateNormal
