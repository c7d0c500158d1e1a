"""How many items to run at once."""

from typing import Any

# Weights that a core reads again and again at every stage of a solver should stay in
# its cache. Measured on CPUs with 1 to 2 MiB a core: best between 0.3 and 1 MiB.
CACHE_BYTES = 600_000
# Beyond this, larger chunks win nothing, and short solves still fill a core's vectors.
LARGEST_CHUNK = 1_000
# The share of a GPU's free memory that one chunk may take, and how many times the
# bytes of its inputs and outputs a chunk needs while it runs.
MEMORY_SHARE = 0.5
WORKING_COPIES = 16


def items_in_cache(bytes_per_item: int) -> int:
    """How many items of this many bytes a CPU core keeps in its cache, at least 1."""
    return max(1, min(LARGEST_CHUNK, CACHE_BYTES // max(bytes_per_item, 1)))


def items_in_memory(bytes_per_item: int, device: Any) -> int | None:
    """How many items fit the free memory of a device; `None` where it does not say."""
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return None
    free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return max(1, int(MEMORY_SHARE * free / (WORKING_COPIES * max(bytes_per_item, 1))))
