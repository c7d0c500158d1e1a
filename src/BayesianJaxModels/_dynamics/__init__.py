from ._jumps import (
    AbstractJumps as AbstractJumps,
    Doses as Doses,
    Jumps as Jumps,
)
from .clock import check_times as check_times, read_clock as read_clock
from .field import (
    AbstractVectorField as AbstractVectorField,
    ModelVectorField as ModelVectorField,
)
from .hybrid import HybridVectorField as HybridVectorField
from .integrate import integrate as integrate
from .neural import NeuralVectorField as NeuralVectorField
from .second_order import SecondOrderVectorField as SecondOrderVectorField
from .solve import Solve as Solve
from .trajectory import Trajectory as Trajectory
