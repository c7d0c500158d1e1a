"""What one sees: bands of trajectories, and how honest they are. Needs matplotlib."""

from .bands import trajectories as trajectories
from .reliability import calibration as calibration
