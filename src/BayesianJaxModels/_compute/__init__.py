from .chunk import items_in_cache as items_in_cache, put as put
from .map_chunks import (
    compiled_once as compiled_once,
    count_cores as count_cores,
    count_workers as count_workers,
    map_chunks as map_chunks,
)
from .precision import full_precision as full_precision
from .processes import (
    gather_shares as gather_shares,
    share_of_process as share_of_process,
)
from .program import one_program as one_program
from .random import (
    fold_in as fold_in,
    is_threefry as is_threefry,
    standard_laplace as standard_laplace,
    standard_normal as standard_normal,
    symmetric_uniform as symmetric_uniform,
)
from .spread import collect as collect, progress_bar as progress_bar, spread as spread
