"""Whether predictions can be trusted: coverage, ranks and scores."""

from ._calibrate import (
    SBC as SBC,
    Coverage as Coverage,
    LogPredictiveDensity as LogPredictiveDensity,
    coverage as coverage,
    crps as crps,
    energy_score as energy_score,
    log_predictive_density as log_predictive_density,
    pit as pit,
    rank_band as rank_band,
    simulation_based_calibration as simulation_based_calibration,
)
