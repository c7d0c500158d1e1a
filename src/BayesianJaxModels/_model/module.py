"""The base class of models."""

import equinox as eqx
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from . import introspect


class Module(eqx.Module):
    """An Equinox module with parameters. Subclass it to write a model.

    Fields may be parameters, layers, other modules, and lists, tuples or dictionaries
    of them; mark what is not an array (activations, sizes) with
    `eqx.field(static=True)`, so that `jax.grad` takes the whole model. The methods are
    short for the functions of the same names, which work on any pytree.

    Example:
        ```python
        class Regression(Module):
            layers: list

            def __init__(self, *, key):
                keys = jax.random.split(key)
                self.layers = [
                    BayesianLinear(1, 16, key=keys[0]),
                    BayesianLinear(16, 1, key=keys[1]),
                ]

            def __call__(self, x, *, key=None, sample=True):
                keys = (None, None) if key is None else jax.random.split(key)
                hidden = jnp.tanh(self.layers[0](x, key=keys[0], sample=sample))
                return self.layers[1](hidden, key=keys[1], sample=sample)
        ```
    """

    def get_parameters(self) -> dict[str, AbstractParameter]:
        """All parameters by name; see `BayesianJaxModels.get_parameters`."""
        return introspect.get_parameters(self)

    def flatten_means(self) -> Float[Array, " n"]:
        """The means as one vector; see `BayesianJaxModels.flatten_means`."""
        return introspect.flatten_means(self)

    def flatten_stdvs(self) -> Float[Array, " n"]:
        """The standard deviations; see `BayesianJaxModels.flatten_stdvs`."""
        return introspect.flatten_stdvs(self)

    def flatten_raw_stdvs(self) -> Float[Array, " n"]:
        """The unconstrained widths; see `BayesianJaxModels.flatten_raw_stdvs`."""
        return introspect.flatten_raw_stdvs(self)

    def compute_prior(self) -> Float[Array, ""]:
        """The sum of squares of the means; see `BayesianJaxModels.compute_prior`."""
        return introspect.compute_prior(self)
