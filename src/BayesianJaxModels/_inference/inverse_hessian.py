"""What many searches know of the curvature around them: inverse Hessians."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Bool, Float

PAIRS = 20  # of steps and gradient differences, that a limited memory holds


class AbstractInverseHessian(ABC):
    """The inverse Hessian of each of `n` searches, learnt from their steps (BFGS).

    Attributes:
        scale: The size of a step in each entry, before anything is known.
        known: Which searches have met a curvature.
    """

    scale: Float[np.ndarray, " d"]
    known: Bool[np.ndarray, " n"]

    @abstractmethod
    def times(self, gradient: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The product with a vector of each search."""

    @abstractmethod
    def learn(
        self,
        step: Float[np.ndarray, "n d"],
        difference: Float[np.ndarray, "n d"],
        wanted: Bool[np.ndarray, " n"],
    ) -> None:
        """Take in a step and what it changed of the gradient, where wanted."""

    @abstractmethod
    def ready(self) -> Bool[np.ndarray, " n"]:
        """Which searches know enough for their model to be asked whether they end."""


class DenseInverse(AbstractInverseHessian):
    """Whole matrices: they forget nothing, and fit few entries."""

    def __init__(self, scale, n):
        self.scale, self.known = scale, np.zeros(n, bool)
        self.matrix = np.tile(np.diag(scale**2), (n, 1, 1))

    def times(self, gradient):
        return np.einsum("nij,nj->ni", self.matrix, gradient)

    def learn(self, step, difference, wanted):
        wanted = np.flatnonzero(wanted)
        step, difference = step[wanted], difference[wanted]
        product = np.sum(step * difference, axis=1)
        # The first curvature met scales what was assumed.
        squares = np.sum((difference * self.scale) ** 2, axis=1)
        first = np.where(self.known[wanted], 1.0, product / squares)
        self.known[wanted] = True
        old = self.matrix[wanted] * first[:, None, None]
        moved = np.einsum("nij,nj->ni", old, difference)
        share = 1 / product + np.sum(difference * moved, axis=1) / product**2
        square = step[:, :, None] * step[:, None] * share[:, None, None]
        cross = step[:, :, None] * moved[:, None] / product[:, None, None]
        self.matrix[wanted] = old + square - cross - cross.swapaxes(1, 2)

    def ready(self):
        return self.known

    def roots(self, which: np.ndarray) -> Float[np.ndarray, "m d d"]:
        """Matrices whose columns are the directions of one standard deviation."""
        plain = self.matrix[which] / self.scale / self.scale[:, None]
        size, directions = np.linalg.eigh((plain + plain.swapaxes(1, 2)) / 2)
        size = np.maximum(size, 1e-14 * size[:, -1:])
        return self.scale[:, None] * directions * np.sqrt(size)[:, None]

    def replace(self, which: np.ndarray, roots: Float[np.ndarray, "m d d"]) -> None:
        """Take a measured matrix in place of the one that was learnt."""
        self.matrix[which], self.known[which] = roots @ roots.swapaxes(1, 2), True


class LimitedInverse(AbstractInverseHessian):
    """The last steps alone (Nocedal & Wright 2006, algorithm 7.4), for many entries."""

    def __init__(self, scale, n):
        self.scale, self.known, d = scale, np.zeros(n, bool), len(scale)
        self.steps, self.differences = np.zeros((2, PAIRS, n, d))
        self.inverse_products = np.zeros((PAIRS, n))  # zero where there is no pair
        self.size = np.ones(n)

    def times(self, gradient):
        pairs = list(
            zip(self.steps, self.differences, self.inverse_products, strict=True)
        )
        rest, shares = gradient.copy(), []
        for s, y, rho in pairs[::-1]:
            shares.append(rho * np.sum(s * rest, axis=1))
            rest -= shares[-1][:, None] * y
        rest *= self.size[:, None] * self.scale**2
        for s, y, rho in pairs:
            back = rho * np.sum(y * rest, axis=1)
            rest += (shares.pop() - back)[:, None] * s
        return rest

    def learn(self, step, difference, wanted):
        step, difference = step[wanted], difference[wanted]
        product = np.sum(step * difference, axis=1)
        memories = (self.steps, self.differences, self.inverse_products)
        for memory, newest in zip(
            memories, (step, difference, 1 / product), strict=True
        ):
            memory[:-1, wanted] = memory[1:, wanted]
            memory[-1, wanted] = newest
        squares = np.sum((difference * self.scale) ** 2, axis=1)
        self.size[wanted] = product / squares
        self.known[wanted] = True

    def ready(self):
        # Directions that no pair has met look as stiff as the stiffest.
        return np.sum(self.inverse_products > 0, axis=0) >= min(PAIRS, len(self.scale))

    def forget(self, which: np.ndarray) -> None:
        """Drop the pairs, so that the next ones are met from here."""
        self.inverse_products[:, which] = 0
