"""The base class of models."""

import equinox as eqx
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from . import introspect, table


class Module(eqx.Module):
    """An Equinox module with parameters. Subclass it to write a model.

    Fields may be parameters, layers, other modules, and lists, tuples or dictionaries
    of them; mark what is not an array (activations, sizes) with
    `eqx.field(static=True)`, so that `jax.grad` takes the whole model. The methods are
    short for the functions of the same names, which work on any pytree. `print(model)`
    shows `parameter_table(model)`, and a notebook does; `repr(model)` is the structure.

    Example:
        ```python
        class Regression(bjm.Module):
            layers: list

            def __init__(self, *, key):
                first, second = jax.random.split(key)
                self.layers = [
                    bjm.BayesianLinear(2, 16, key=first),
                    bjm.BayesianLinear(16, 1, key=second),
                ]

            def __call__(self, x, *, key=None, sample=True):
                first, second = (None, None) if key is None else jax.random.split(key)
                hidden = jnp.tanh(self.layers[0](x, key=first, sample=sample))
                return self.layers[1](hidden, key=second, sample=sample)


        model = Regression(key=jax.random.key(0))
        model(np.ones((10, 2)), sample=False).shape  # (10, 1): weights at their means
        model.flatten_means().size  # 65
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

    def __str__(self) -> str:
        """The table of the parameters; under JAX transformations the structure."""
        if table.has_values(self):
            return str(table.parameter_table(self))
        return repr(self)

    def _repr_html_(self) -> str:
        """The table of the parameters, for notebooks."""
        return table.parameter_table(self)._repr_html_()
