from .base import AbstractProblem as AbstractProblem, Outcome as Outcome
from .problem import Problem as Problem
