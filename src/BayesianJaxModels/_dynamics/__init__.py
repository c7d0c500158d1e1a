from .field import (
    AbstractVectorField as AbstractVectorField,
    ModelVectorField as ModelVectorField,
)
from .horizon import growing_horizon as growing_horizon
from .hybrid import HybridVectorField as HybridVectorField
from .integrate import integrate as integrate
from .neural import NeuralVectorField as NeuralVectorField
from .second_order import SecondOrderVectorField as SecondOrderVectorField
from .shooting import (
    ShootingSegments as ShootingSegments,
    continuity_gaps as continuity_gaps,
    shooting_segments as shooting_segments,
)
from .trajectory import Trajectory as Trajectory
