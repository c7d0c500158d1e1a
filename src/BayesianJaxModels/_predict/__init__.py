from .calibration import Coverage as Coverage, coverage as coverage, pit as pit
from .datatree import (
    posterior_to_datatree as posterior_to_datatree,
    trajectory_to_datatree as trajectory_to_datatree,
)
from .map_posterior import (
    map_posterior as map_posterior,
    map_posterior_pure as map_posterior_pure,
    stream_posterior as stream_posterior,
)
from .running_summary import RunningSummary as RunningSummary
from .sbc import (
    SBC as SBC,
    rank_band as rank_band,
    simulation_based_calibration as simulation_based_calibration,
)
from .scores import (
    LogPredictiveDensity as LogPredictiveDensity,
    crps as crps,
    energy_score as energy_score,
    leave_future_out as leave_future_out,
    log_predictive_density as log_predictive_density,
)
from .summary import Summary as Summary, summarise as summarise
from .trajectories import posterior_trajectories as posterior_trajectories
