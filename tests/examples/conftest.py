"""Examples run as a reader's would: with JAX's own settings."""

import jax
import pytest


@pytest.fixture(autouse=True)
def readers_settings():
    """JAX's default promotion, and double precision only for who asks for it."""
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_enable_x64", False)
