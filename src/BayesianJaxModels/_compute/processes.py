"""Share items between the processes of a `jax.distributed` job."""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree


def share_of_process(num_items: int, process: int | None = None) -> range:
    """The items of a process, of this one if `None`."""
    count = jax.process_count()
    if num_items < count:
        raise ValueError(
            f"`num_samples` is {num_items}, but {count} processes share the draws. Ask "
            "for at least one for each, or start fewer processes."
        )
    process = jax.process_index() if process is None else process
    return range(process * num_items // count, (process + 1) * num_items // count)


def gather_shares(shares: PyTree, num_items: int) -> PyTree:
    """The items of all processes, the first axis of NumPy arrays, on each of them."""
    count = jax.process_count()
    if count == 1:
        return shares
    sizes = [len(share_of_process(num_items, process)) for process in range(count)]

    def pad(leaf):
        return np.concatenate([leaf, leaf[: max(sizes) - len(leaf)]])

    def join(leaf):
        return np.concatenate([part[:n] for part, n in zip(leaf, sizes, strict=True)])

    stacked = multihost_utils.process_allgather(jax.tree.map(pad, shares))
    return jax.tree.map(join, stacked)
