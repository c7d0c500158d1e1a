from .clip import (
    ClipState as ClipState,
    clip_finite_by_global_norm as clip_finite_by_global_norm,
)
from .fit import Fit as Fit, fit as fit
from .horizon import growing_horizon as growing_horizon
from .shooting import (
    ShootingSegments as ShootingSegments,
    continuity_gaps as continuity_gaps,
    shooting_segments as shooting_segments,
)
