"""Plots of trajectories and of their calibration. Needs matplotlib."""

from .bands import trajectories as trajectories
from .predictions import prediction as prediction
from .reliability import calibration as calibration
