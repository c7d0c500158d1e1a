"""One of many: when it was observed, what came out, and what it was given."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from .._dynamics import Doses, check_times


class Subject(eqx.Module):
    """A patient, an animal, a reactor, a cell: its observations, doses and covariates.

    Args:
        ts: When it was observed, of shape `(T,)`, in order.
        observations: What came out, of shape `(T, ...)`; `None` of one that is to be
            foreseen.
        doses: What it was given: `Doses`, several of them in a tuple, or `None`.
        covariates: Numbers that are known of it, by name: a weight, a dose by weight.
        name: What messages call it.

    Attributes:
        mask: Which of `ts` count; all of them, until subjects of different length are
            brought to one.

    Raises:
        TypeError: If a covariate is not a number.
        ValueError: If there is no observation, times are not in order, or there are
            not as many observations; with the name.

    Example:
        ```python
        given = bjm.Doses(0.0, 320.0, into=0)
        subject = bjm.Subject(
            [0.25, 1.1, 3.5], [2.8, 10.5, 8.3], doses=given, covariates={"weight": 79.6}
        )
        subject.covariates["weight"]  # 79.6
        ```
    """

    ts: Float[Array | np.ndarray, " T"]
    observations: Float[Array | np.ndarray, "T ..."]
    mask: Bool[Array | np.ndarray, " T"]
    doses: tuple[Doses, ...]
    covariates: dict[str, Any]
    name: str = eqx.field(static=True)

    def __init__(
        self,
        ts: Any,
        observations: Any = None,
        *,
        doses: Doses | Sequence[Doses] | None = None,
        covariates: Mapping[str, Any] | None = None,
        name: Any = "",
    ):
        self.name = str(name)
        where = f" of subject {name}" if self.name else ""
        self.ts = np.atleast_1d(np.asarray(ts, np.float64))
        if observations is None:
            observations = np.full(self.ts.shape, np.nan)
        self.observations = np.asarray(observations, np.float64)
        if self.ts.size == 0:
            raise ValueError(f"There is no observation{where}. Leave it out.")
        if self.observations.shape[:1] != self.ts.shape:
            raise ValueError(
                f"`observations`{where} must be as many as `ts`, {len(self.ts)}, but "
                f"have shape {self.observations.shape}."
            )
        if len(self.ts) > 1:
            try:
                check_times(self.ts)
            except ValueError as error:
                raise ValueError(f"`ts`{where}: {error}") from None
        self.mask = np.ones(self.ts.shape, bool)
        given = () if doses is None else doses
        self.doses = (given,) if isinstance(given, Doses) else tuple(given)
        self.covariates = {}
        for key, value in (covariates or {}).items():
            try:
                self.covariates[key] = np.asarray(value, np.float64)
            except (TypeError, ValueError):
                raise TypeError(
                    f"The covariate {key!r}{where} must be a number, but is {value!r}. "
                    "Code categories as numbers."
                ) from None
