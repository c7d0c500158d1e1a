"""Carry the settings of JAX from one thread into others.

What JAX's context managers set (`jax.default_matmul_precision`, `jax.debug_nans`,
`jax.enable_x64`, ...) holds in the thread that set it, and JAX has no public way to
list or copy all of it. So this uses private names of JAX, as they are from 0.10.0 to
0.12.0, and nothing else does. It can go when JAX has a way of its own.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from jax._src import config as jax_config

Settings = list[tuple[Any, Any]]

_CAN_BE_CARRIED: dict[int, bool] = {}


def settings_here() -> Settings:
    """Every setting of JAX with its value in this thread."""
    kind = jax_config.config_ext.Config
    of_module = (it for it in vars(jax_config).values() if isinstance(it, kind))
    found = {id(state): state for state in of_module}
    found |= {id(state): state for state in jax_config.config_states.values()}
    return [(state, state.value) for state in found.values()]


def fingerprint() -> int:
    """The same wherever JAX would compile the same code."""
    return hash(jax_config.trace_context())


@contextmanager
def holding(settings: Settings) -> Iterator[None]:
    """Give this thread the settings of another one."""
    with ExitStack() as stack:
        for state, value in settings:
            if state.value == value:
                continue
            if isinstance(state, jax_config.State):
                stack.enter_context(state(value))
            else:
                stack.callback(state.set_local, state.swap_local(value))
        yield


def can_be_carried(settings: Settings) -> bool:
    """Whether another thread would compile as this one does.

    It would not where a user made a context by `jax.make_user_context`, which cannot be
    listed.
    """
    here = fingerprint()

    def look():
        with holding(settings):
            _CAN_BE_CARRIED[here] = fingerprint() == here

    if here not in _CAN_BE_CARRIED:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    return _CAN_BE_CARRIED[here]
