from .datatree import (
    posterior_to_datatree as posterior_to_datatree,
    prediction_to_datatree as prediction_to_datatree,
    trajectory_to_datatree as trajectory_to_datatree,
)
from .serialise import load_model as load_model, save_model as save_model
