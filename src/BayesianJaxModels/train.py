"""Help for your own training loop."""

from ._train import (
    ShootingSegments as ShootingSegments,
    clip_finite_by_global_norm as clip_finite_by_global_norm,
    continuity_gaps as continuity_gaps,
    growing_horizon as growing_horizon,
    shooting_segments as shooting_segments,
)
