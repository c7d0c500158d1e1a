"""L-BFGS approximations of the inverse Hessian, for many searches at once."""

import numpy as np
from jaxtyping import Bool, Float

PAIRS = 20  # of steps and gradient differences
# Where an entry does not matter each measurement finds its width to be greater still:
# no direction is longer than so many `scale`.
WIDEST = 1e12


class InverseHessian:
    """The inverse Hessian of each of `n` searches, learnt from their last steps.

    Nocedal & Wright 2006, Numerical Optimization, algorithm 7.4.

    Attributes:
        scale: The size of a step in each entry, before anything is known.
        known: Which searches have met a curvature.
    """

    def __init__(self, scale: Float[np.ndarray, " d"], n: int):
        self.scale, self.known, d = scale, np.zeros(n, bool), len(scale)
        self.steps, self.differences = np.zeros((2, PAIRS, n, d))
        self.inverse_products = np.zeros((PAIRS, n))  # zero where there is no pair
        self.size = np.ones(n)
        self.base = None  # whole matrices to begin with, once they were measured

    def times(self, gradient: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The product with a vector of each search."""
        pairs = (self.steps, self.differences, self.inverse_products)
        met = np.flatnonzero(self.inverse_products.any(axis=1))
        pairs = list(zip(*(kept[met] for kept in pairs), strict=True))
        rest, shares = gradient.copy(), []
        for s, y, rho in pairs[::-1]:
            shares.append(rho * np.sum(s * rest, axis=1))
            rest -= shares[-1][:, None] * y
        rest = self.size[:, None] * self._begin(rest)
        for s, y, rho in pairs:
            back = rho * np.sum(y * rest, axis=1)
            rest += (shares.pop() - back)[:, None] * s
        return rest

    def learn(
        self,
        step: Float[np.ndarray, "n d"],
        difference: Float[np.ndarray, "n d"],
        wanted: Bool[np.ndarray, " n"],
    ) -> None:
        """Take in a step and what it changed of the gradient, where wanted."""
        product = np.sum(step * difference, axis=1)
        squares = np.sum(difference * self._begin(difference), axis=1)
        self.size[wanted] = (product / squares)[wanted]
        self.known[wanted] = True
        for memory, newest in (
            (self.steps, step),
            (self.differences, difference),
            (self.inverse_products, 1 / product),
        ):
            memory[:-1, wanted] = memory[1:, wanted]
            memory[-1, wanted] = newest[wanted]

    def num_pairs(self) -> np.ndarray:
        """How many steps each search goes by."""
        return np.sum(self.inverse_products > 0, axis=0)

    def forget(self, which: np.ndarray) -> None:
        """Drop the steps, so that the next ones are met from here."""
        self.inverse_products[:, which] = 0

    def roots(self, which: np.ndarray) -> Float[np.ndarray, "m d d"]:
        """Matrices whose columns are the directions of one standard deviation."""
        n = len(self.known)
        unit = np.diag(1 / self.scale)
        rows = [self.times(np.tile(row, (n, 1)))[which] for row in unit]
        plain = np.stack(rows, axis=1) / self.scale
        size, axes = np.linalg.eigh((plain + plain.swapaxes(1, 2)) / 2)
        size = np.maximum(size, 1e-14 * size[:, -1:])
        return self.scale[:, None] * axes * np.sqrt(size)[:, None]

    def replace(self, which: np.ndarray, roots: Float[np.ndarray, "m d d"]) -> None:
        """Take measured matrices in place of what was learnt."""
        if self.base is None:
            self.base = np.tile(np.diag(self.scale), (len(self.known), 1, 1))
        self.forget(which)
        length = np.linalg.norm(roots / self.scale[:, None], axis=1)
        roots = roots * (WIDEST / np.maximum(length, WIDEST))[:, None]
        self.base[which], self.size[which], self.known[which] = roots, 1.0, True

    def _begin(self, vector: np.ndarray) -> np.ndarray:
        if self.base is None:
            return self.scale**2 * vector
        return np.einsum(
            "nij,nj->ni", self.base, np.einsum("nkj,nk->nj", self.base, vector)
        )
