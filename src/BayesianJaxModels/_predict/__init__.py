from .arrays import as_trajectory as as_trajectory
from .label import label_of as label_of
from .map_posterior import (
    map_posterior as map_posterior,
    map_posterior_pure as map_posterior_pure,
    stream_posterior as stream_posterior,
)
from .predict import predict as predict
from .prediction import (
    Prediction as Prediction,
    by_series as by_series,
    mask_of_densities as mask_of_densities,
    series_of as series_of,
)
from .running_summary import RunningSummary as RunningSummary
from .summary import Summary as Summary, summarise as summarise
from .trajectories import posterior_trajectories as posterior_trajectories
from .weighted import (
    quantiles as quantiles,
    read_weights as read_weights,
    representatives as representatives,
)
