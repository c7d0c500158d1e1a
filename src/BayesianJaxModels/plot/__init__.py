"""Plots of trajectories and of their calibration. Needs matplotlib."""

from .bands import trajectories as trajectories
from .populations import predictive_check as predictive_check, subjects as subjects
from .predictions import prediction as prediction
from .reliability import calibration as calibration
