from .base import AbstractProblem as AbstractProblem, Outcome as Outcome
from .noncentred import noncentred as noncentred
from .population import Population as Population
from .problem import Problem as Problem
from .read_events import read_events as read_events
from .subject import Subject as Subject
