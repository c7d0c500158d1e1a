"""A function of a drawn model, made linear."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._model import check_model, free_means, replace_free_means


class Linearised(eqx.Module):
    """A function of a drawn model, linear in its entries around a centre.

    Nonlinear trajectories of a Gaussian posterior over the weights of a network may
    diverge where the linear ones do not (Immer, Korzepa & Bauer 2021,
    arXiv:2008.08711). A solve inside needs an adjoint that allows forward mode,
    `diffrax.ForwardMode()` or `diffrax.DirectAdjoint()`.

    Attributes:
        fn: From a drawn model to a pytree of float arrays.
        centre: The model whose means are the centre.

    Example:
        ```python
        rate = bjm.make_parameter(0.5, init_raw_stdv=0.5)
        ts = jnp.linspace(0.0, 4.0, 9)
        decay = bjm.Linearised(lambda drawn: jnp.exp(-drawn.mean * ts), rate)
        ys = bjm.map_posterior(decay, rate, key=jax.random.key(0), num_samples=100)
        ys.shape  # (100, 9)
        ```
    """

    fn: Callable[[Any], PyTree]
    centre: PyTree

    def __check_init__(self):
        check_model("Linearised", self.centre)

    def __call__(self, drawn: PyTree) -> PyTree:
        """`fn` at the centre plus its derivative in the direction of `drawn`.

        Args:
            drawn: A drawn model.
        """
        centre = free_means(self.centre)

        def at(vector):
            return self.fn(replace_free_means(self.centre, vector))

        value, slope = jax.jvp(at, (centre,), (free_means(drawn) - centre,))
        return jax.tree.map(jnp.add, value, slope)
