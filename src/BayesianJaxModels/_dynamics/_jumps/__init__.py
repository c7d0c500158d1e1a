from .base import AbstractJumps as AbstractJumps
from .doses import Doses as Doses
from .jumps import Jumps as Jumps
from .plan import (
    JumpsTogether as JumpsTogether,
    check_known as check_known,
    run_forwards as run_forwards,
    settle_jumps as settle_jumps,
    with_stops as with_stops,
)
from .solver import (
    Jumping as Jumping,
    add_slopes as add_slopes,
    jump_now as jump_now,
    jump_where_saved as jump_where_saved,
)
