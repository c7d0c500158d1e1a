from .by_time import quantiles_by_time as quantiles_by_time
from .calibration import Coverage as Coverage, coverage as coverage, pit as pit
from .sbc import (
    SBC as SBC,
    pit_ranks as pit_ranks,
    rank_band as rank_band,
    simulation_based_calibration as simulation_based_calibration,
)
from .scores import (
    LogPredictiveDensity as LogPredictiveDensity,
    crps as crps,
    energy_score as energy_score,
    log_predictive_density as log_predictive_density,
)
