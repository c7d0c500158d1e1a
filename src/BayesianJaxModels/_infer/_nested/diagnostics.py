"""How far nested importance sampling can be trusted."""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from ..._posterior import AbstractDiagnostics
from .._importance import in_words, largest_k_hat
from ..noise import noise_complaint

SMALLEST_SAMPLE = 400
# In nats: the scatter of the estimate of all subjects' likelihoods together.
LARGEST_SCATTER = 1.0
MOST_NAMED = 5


class NestedDiagnostics(AbstractDiagnostics):
    """How far nested importance sampling can be trusted; NumPy.

    Attributes:
        k_hat: The shape of the tail of the weights of what all subjects share, as in
            `ImportanceDiagnostics`.
        k_hat_correction: That of the weights by which the last estimates of the
            likelihoods, with random numbers of their own, differ from the first.
        k_hat_subjects: That of each subject's particles, of shape `(n,)`.
        names: Of the subjects.
        ess: How many draws of equal weight are worth as much.
        scatter: The standard deviation of the estimates of the log likelihood of all
            subjects together, in nats.
        num_failed: For how many draws of what all share the density was not finite.
        num_evaluations: How many draws of what all share were evaluated, over all
            rounds; each with the particles of every subject.
        num_draws: How many there are.
        shrinkage: Of each effect, how much less subjects' means differ than subjects
            do: 0 where each tells its own, 1 where the population speaks for all, as
            `1 - sd(means) / sd(effects)` (Savic & Karlsson 2009, AAPS Journal 11(3)),
            of shape `(q,)`.
        log_evidence: The logarithm of the integral of the joint density, in nats.
        noise: As in `ImportanceDiagnostics`.

    Example:
        ```python
        zero, several = np.zeros(()), np.array([0.1, 0.9])
        told = bjm.NestedDiagnostics(
            k_hat=zero,
            k_hat_correction=zero,
            k_hat_subjects=several,
            names=("a", "b"),
            ess=np.asarray(900.0),
            scatter=zero,
            num_failed=np.asarray(0),
            num_evaluations=np.asarray(1_000),
            num_draws=np.asarray(1_000),
            shrinkage=np.array([0.1]),
            log_evidence=zero,
            noise=zero,
        )
        len(told.complaints())  # 1: subject b
        ```
    """

    k_hat: Float[np.ndarray, ""]
    k_hat_correction: Float[np.ndarray, ""]
    k_hat_subjects: Float[np.ndarray, " n"]
    names: tuple[str, ...] = eqx.field(static=True)
    ess: Float[np.ndarray, ""]
    scatter: Float[np.ndarray, ""]
    num_failed: Int[np.ndarray, ""]
    num_evaluations: Int[np.ndarray, ""]
    num_draws: Int[np.ndarray, ""]
    shrinkage: Float[np.ndarray, " q"]
    log_evidence: Float[np.ndarray, ""]
    noise: Float[np.ndarray, ""]

    def complaints(self) -> list[str]:
        """What is wrong, one sentence each; empty where no fault was found.

        A k-hat above 0.7 of the shared weights, of the correction or of a subject's
        particles; fewer than 400 effective draws; estimates that scatter by more than
        a nat; and a log density that is not smooth.
        """
        found, limit = [], largest_k_hat(int(self.num_evaluations))
        if self.k_hat > limit:
            found.append(f"{in_words(self.k_hat)} is above {limit:.2g}.")
        limit = largest_k_hat(int(self.num_draws))
        if self.k_hat_correction > limit:
            found.append(
                f"{in_words(self.k_hat_correction)} of the correction is above "
                f"{limit:.2g}."
            )
        bad = np.flatnonzero(self.k_hat_subjects > largest_k_hat(10**4))
        if bad.size:
            worst = bad[np.argsort(-self.k_hat_subjects[bad])][:MOST_NAMED]
            told = [f"{self.names[i]} ({self.k_hat_subjects[i]:.2f})" for i in worst]
            more = (
                "" if bad.size <= MOST_NAMED else f" and {bad.size - MOST_NAMED} more"
            )
            found.append(
                f"The particles of subject {', '.join(told)}{more} have a k-hat above "
                "0.7: its effects are far from normal."
            )
        if self.ess < SMALLEST_SAMPLE:
            found.append(f"{self.ess:.0f} effective draws are below {SMALLEST_SAMPLE}.")
        if self.scatter > LARGEST_SCATTER:
            found.append(
                f"The estimates of the likelihood scatter by {self.scatter:.2g} nats, "
                f"above {LARGEST_SCATTER:g}: take more particles."
            )
        return found + noise_complaint(float(self.noise))

    def __repr__(self) -> str:
        worst = int(np.argmax(self.k_hat_subjects))
        return (
            f"NestedDiagnostics: {in_words(self.k_hat)}, of the correction "
            f"{self.k_hat_correction:.2f}, of subjects at most "
            f"{self.k_hat_subjects[worst]:.2f} ({self.names[worst]}), {self.ess:.0f} "
            f"effective draws of {self.num_draws}, {self.num_failed} failed, shrinkage "
            f"of effects {self._shrinkage()}, log evidence {self.log_evidence:.4g}: "
            + (" ".join(self.complaints()) or "no fault found around the start")
        )

    def _shrinkage(self) -> str:
        return ", ".join(f"{100 * share:.0f} %" for share in self.shrinkage)
