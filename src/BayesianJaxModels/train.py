"""A training loop, and help for your own."""

from ._train import (
    Fit as Fit,
    ShootingSegments as ShootingSegments,
    clip_finite_by_global_norm as clip_finite_by_global_norm,
    continuity_gaps as continuity_gaps,
    fit as fit,
    growing_horizon as growing_horizon,
    shooting_segments as shooting_segments,
)
