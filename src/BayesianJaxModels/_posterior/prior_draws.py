"""The prior as a posterior."""

from jaxtyping import PRNGKeyArray, PyTree

from .._model import OF_ONE_MODEL, check_model, refuse
from .._prior import Prior, sample_prior
from .base import AbstractPosterior


class PriorDraws(AbstractPosterior):
    """The prior as a posterior, for predictions before any data.

    Attributes:
        model: Says which parameters there are, and of which shapes.
        prior: Its prior.

    Raises:
        ValueError: When it draws, as `log_prior` does.

    Example:
        ```python
        def decay(drawn):
            return jnp.exp(-drawn.mean * jnp.linspace(0.0, 1.0, 5))

        prior = bjm.Prior(default=bjm.priors.LogNormal(0.0, 0.5))
        draws = bjm.PriorDraws(bjm.make_parameter(1.0), prior)
        ys = bjm.map_posterior(decay, draws, key=jax.random.key(0), num_samples=100)
        ys.shape  # (100, 5)
        ```
    """

    model: PyTree
    prior: Prior

    def __check_init__(self):
        check_model("PriorDraws", self.model)

    def notes(self):
        return []

    def get_parameters(self, verb="get_parameters") -> None:
        """Refuse: `model` says what the parameters are, not where."""
        refuse(verb, self, OF_ONE_MODEL)

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw every parameter from the prior."""
        return sample_prior(self.model, self.prior, key)
