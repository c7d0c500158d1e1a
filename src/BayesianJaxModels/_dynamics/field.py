"""What moves: the right-hand side of an ordinary differential equation."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float, PyTree, Real

from .._model import Module


class AbstractVectorField(Module):
    """The right-hand side `f` of `dy/dt = f(t, y, args)`, a pytree.

    It takes no key: no randomness reaches it, so its weights are the same at every
    stage of the solver. Draw them before with `sample_all_parameters`. Any callable
    pytree with this signature will do where a vector field is asked for.

    Example:
        ```python
        class Logistic(bjm.AbstractVectorField):
            log_growth: bjm.AbstractParameter  # per day
            log_capacity: bjm.AbstractParameter

            def __call__(self, t, y, args):
                capacity = jnp.exp(self.log_capacity.mean)
                return jnp.exp(self.log_growth.mean) * y * (1 - y / capacity)


        cells = Logistic(bjm.make_parameter(-1.0), bjm.make_parameter(4.6))
        cells(0.0, 5.0, None)  # 1.747: cells per day, for `integrate`
        ```
    """

    @abstractmethod
    def __call__(self, t: Real[ArrayLike, ""], y: PyTree, args: Any) -> PyTree:
        """The time derivative of the state.

        Args:
            t: Time, a scalar.
            y: The state, any pytree of float arrays.
            args: What `integrate` was given as `args`.

        Returns:
            The derivative, in the structure, shapes and dtypes of `y` and in its unit
            per unit of time.
        """


class ModelVectorField(AbstractVectorField):
    """A model of signature `model(x, *, key, sample)` as an autonomous vector field.

    Attributes:
        model: Maps a state of shape `(..., n)` to its derivative, of the same shape.

    Example:
        ```python
        mlp = bjm.BayesianMLP(2, 2, width=16, depth=1, key=jax.random.key(0))
        field = bjm.ModelVectorField(mlp)
        field(0.0, jnp.ones(2), None).shape  # (2,): the derivative, for `integrate`
        ```
    """

    model: eqx.Module

    def __call__(
        self, t: Real[ArrayLike, ""], y: Float[Array, "*batch n"], args: Any
    ) -> Float[Array, "*batch n"]:
        """`model(y)` at the means, or at the draw in a drawn model."""
        return self.model(y, key=None, sample=False)  # pyright: ignore
