"""Subjects of different length brought to one, so that one program serves them all."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._dynamics import Doses
from .subject import Subject


def stack_subjects(subjects: Sequence[Any]) -> tuple[Subject, tuple[str, ...]]:
    """One `Subject` whose arrays have a leading axis, and the names.

    Shorter ones are filled with their last time and observation, which `mask` leaves
    out, and with doses at NaN, which are none. Unnamed ones are numbered from 1.

    Raises:
        TypeError: If one is no `Subject`.
        ValueError: If there is none, names repeat, or they do not go together.
    """
    subjects = list(subjects)
    if not subjects:
        raise ValueError("`subjects` is empty: a population has at least one.")
    for subject in subjects:
        check_subject(subject)
    names = tuple(one.name or str(place + 1) for place, one in enumerate(subjects))
    repeated = [name for place, name in enumerate(names) if name in names[:place]]
    if repeated:
        raise ValueError(f"There is more than one subject {repeated[0]}.")
    _check_alike(subjects, names)
    most = max(len(one.ts) for one in subjects)
    first, doses = subjects[0], _stack_doses(subjects)
    stacked = (
        np.stack([_filled(one.ts, most) for one in subjects]),
        np.stack([_filled(one.observations, most) for one in subjects]),
        np.stack([np.arange(most) < len(one.ts) for one in subjects]),
        doses,
        {
            name: np.stack([one.covariates[name] for one in subjects])
            for name in first.covariates
        },
    )
    pattern = Subject(
        first.ts,
        first.observations,
        doses=jax.tree.map(lambda leaf: leaf[0], doses),
        covariates=first.covariates,
    )
    whole = jax.tree.unflatten(jax.tree.structure(pattern), jax.tree.leaves(stacked))
    return whole, names


def check_subject(subject: Any) -> None:
    """Hold one of many to a `Subject`.

    Raises:
        TypeError: If it is anything else.
    """
    if not isinstance(subject, Subject):
        raise TypeError(
            "`subjects` must be `Subject`s, as `read_events` reads them, but one is a "
            f"{type(subject).__name__}."
        )


def unstack_subject(subjects: Subject, index: int) -> Subject:
    """One of them, as long as it was."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf)[index], subjects)
    kept = own.mask
    given = [_without_filling(doses) for doses in own.doses]
    return Subject(
        own.ts[kept],
        own.observations[kept],
        doses=[doses for doses in given if doses is not None],
        covariates=own.covariates,
    )


def _without_filling(doses: Doses) -> Doses | None:
    kept = ~np.isnan(doses.times)
    if not kept.any():
        return None
    ends = None if doses.ends is None else (doses.ends - doses.times)[kept]
    return Doses(
        doses.times[kept],
        doses.amounts[kept],
        doses.into,
        duration=ends,
        saved=doses.saved,
    )


def _check_alike(subjects: list[Subject], names: tuple[str, ...]) -> None:
    """Hold all to the covariates and the observations of the first."""
    first = subjects[0]
    for name, subject in zip(names, subjects, strict=True):
        lacking = [key for key in first.covariates if key not in subject.covariates]
        more = [key for key in subject.covariates if key not in first.covariates]
        if lacking or more:
            what = f"has no {lacking[0]!r}" if lacking else f"has {more[0]!r} as well"
            raise ValueError(
                f"All subjects need the same covariates, but {name} {what}, where "
                f"{names[0]} has {sorted(first.covariates)}."
            )
        for key, value in subject.covariates.items():
            if value.shape != first.covariates[key].shape:
                raise ValueError(
                    f"The covariate {key!r} of subject {name} has shape {value.shape}, "
                    f"but that of {names[0]} {first.covariates[key].shape}."
                )
            if not np.all(np.isfinite(value)):
                raise ValueError(f"The covariate {key!r} of subject {name} is {value}.")
        shape, wanted = subject.observations.shape[1:], first.observations.shape[1:]
        if shape != wanted:
            raise ValueError(
                f"All subjects need observations of one shape behind their times, but "
                f"that of {name} is {shape} and that of {names[0]} {wanted}."
            )


def _stack_doses(subjects: list[Subject]) -> tuple[Doses, ...]:
    """Doses by where they go, those of each subject in a row."""
    kinds: dict[Any, dict[int, Doses]] = {}
    for place, subject in enumerate(subjects):
        seen: dict[Any, int] = {}
        for doses in subject.doses:
            kind = (doses.into, doses.saved, doses.ends is not None)
            number = seen[kind] = seen.get(kind, -1) + 1
            kinds.setdefault((*kind, number), {})[place] = doses
    return tuple(
        _rows_of(of_one, kind, len(subjects)) for kind, of_one in kinds.items()
    )


def _rows_of(of_one: dict[int, Doses], kind: tuple, n: int) -> Doses:
    into, saved, lasts, _ = kind
    most = max(doses.times.shape[-1] for doses in of_one.values())
    times, amounts = np.full((n, most), np.nan), np.zeros((n, most))
    durations = np.zeros((n, most))
    for place, doses in of_one.items():
        count = doses.times.shape[-1]
        times[place, :count], amounts[place, :count] = doses.times, doses.amounts
        if lasts:
            durations[place, :count] = doses.ends - doses.times
    return Doses(
        times, amounts, into, duration=durations if lasts else None, saved=saved
    )


def _filled(rows: np.ndarray, count: int) -> np.ndarray:
    last = np.repeat(rows[-1:], count - len(rows), axis=0)
    return np.concatenate([rows, last])
