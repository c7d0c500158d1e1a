from .normal import (
    standard_laplace as standard_laplace,
    standard_normal as standard_normal,
)
