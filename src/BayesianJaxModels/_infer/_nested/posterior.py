"""The posterior of a population by nested normal distributions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._check import check_key
from ..._model import OF_ONE_MODEL, free_means, refuse, replace_free_means
from ..._posterior import AbstractPosterior, JointPosterior
from .conditional import Conditional


class NestedPosterior(AbstractPosterior):
    """What all subjects share is normal; given that, so are the effects of each.

    Attributes:
        model: The model at the modes.
        shared: Of what all subjects share, over the model with its effects as known.
            Its `log_evidence` is that of the approximation.
        conditional: The effects given that.

    Example:
        ```python
        def problem_of(subject):
            def mean(drawn):
                return drawn["effects"].value + 0 * subject.ts

            noise = bjm.likelihoods.NormalLikelihood(0.5)
            return bjm.Problem(mean, noise, subject.observations, prior=None)

        around = bjm.priors.Normal(lambda m: m["typical"].value, 1.0)
        prior = {"['typical']": bjm.priors.Normal(), "['effects']": around}
        subjects = [bjm.Subject([0.0, 1.0], [y, y + 0.5]) for y in (0.0, 1.0, 2.0)]
        population = bjm.Population(
            problem_of, subjects, prior=bjm.Prior(prior), effects="['effects']"
        )
        zeros = {"typical": np.zeros(()), "effects": np.zeros(3)}
        fit = bjm.nested_laplace(population, jax.tree.map(bjm.make_parameter, zeros))
        fit.shared.model["typical"].mean  # 0.909
        fit.draw(jax.random.key(0))["effects"].mean.shape  # (3,)
        ```
    """

    model: PyTree
    shared: JointPosterior
    conditional: Conditional

    def get_parameters(self, verb="get_parameters") -> None:
        """Refuse: `model` says where the modes are, and not how wide."""
        refuse(verb, self, OF_ONE_MODEL)

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw what all share, and then the effects of each subject."""
        key_shared, key_effects = jax.random.split(check_key(key))
        shared = free_means(self.shared.draw(key_shared))
        normals = self.conditional.normals(shared)
        white = jax.random.normal(key_effects, normals.means.shape, shared.dtype)
        return self.conditional.layout.whole(shared, normals.placed(white))

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        layout, entries = self.conditional.layout, free_means(drawn)
        shared = entries[layout.shared]
        normals = self.conditional.normals(shared)
        white = normals.whitened(entries[layout.effects])
        standard = -jnp.sum(white**2 + jnp.log(2 * jnp.pi)) / 2
        of_shared = self.shared.log_prob(replace_free_means(self.shared.model, shared))
        return of_shared + standard + jnp.sum(normals.log_slopes)

    def __repr__(self) -> str:
        n, q = self.conditional.layout.effects.shape
        by_that = self.shared.log_evidence
        words = (
            "" if by_that is None else f", log evidence {float(by_that):.4g} by that"
        )
        return (
            f"NestedPosterior: {self.conditional.layout.shared.size} entries that all "
            f"share, {q} effects of each of {n} subjects integrated out{words}"
        )
