"""Plots of trajectories and of their calibration. Needs matplotlib."""

from .bands import trajectories as trajectories
from .reliability import calibration as calibration
