"""What one sees: bands of trajectories, and what draws cost. Needs matplotlib."""

from .bands import trajectories as trajectories
from .reliability import calibration as calibration
from .speed import sampling_cost as sampling_cost
