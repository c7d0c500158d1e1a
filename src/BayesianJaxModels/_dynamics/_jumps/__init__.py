from .base import AbstractJumps as AbstractJumps
from .doses import Doses as Doses
from .jumps import Jumps as Jumps
from .plan import (
    JumpsTogether as JumpsTogether,
    check_after_start as check_after_start,
    run_forwards as run_forwards,
    settle_jumps as settle_jumps,
    with_stops as with_stops,
)
from .solver import (
    Jumping as Jumping,
    add_slopes as add_slopes,
    jump_at as jump_at,
    jump_where_saved as jump_where_saved,
)
