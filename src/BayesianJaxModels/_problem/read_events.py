"""Subjects from a long table of events, as NONMEM and nlmixr have them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._check import near_matches
from .._dynamics import Doses
from .subject import Subject

# What the columns are called there, in capital or small letters.
NAMES = {
    "id": "ID",
    "time": "TIME",
    "value": "DV",
    "amount": "AMT",
    "event": "EVID",
    "missing": "MDV",
    "compartment": "CMT",
    "rate": "RATE",
    "duration": "DUR",
    "additional": "ADDL",
    "interval": "II",
    "steady": "SS",
    "kind": "DVID",
}
NEEDED = ("id", "time", "value")
MISSING = ("", ".", "na", "nan", "null", "none")
OBSERVED, GIVEN, OTHER = 0, 1, 2


def read_events(
    table: Any,
    *,
    columns: Mapping[str, str] | None = None,
    covariates: Sequence[str] = (),
    into: Mapping[int, int | str] | int | str | None = 0,
    saved: str = "before",
) -> list[Subject]:
    """Read many subjects from a table with a row for each observation and each dose.

    The columns are those of NONMEM and nlmixr: `ID`, `TIME`, `DV`, and where there are
    doses `AMT`, with `EVID` (0 an observation, 1 a dose, 2 nothing), `MDV` (1: no
    observation), `CMT`, `RATE` or `DUR` (of infusions), `ADDL` and `II` (so many more,
    at an interval). A missing entry is empty, `.`, `NA` or NaN. Observations are of one
    kind: a `DVID`, or a `CMT` of theirs, that changes is an error.

    Args:
        table: A path of a CSV file, whose lines that begin with `#` are comments, or
            what has columns by name: a data frame of pandas or polars, or a dictionary
            of lists.
        columns: Other names of columns, such as `{"id": "Subject", "value": "conc"}`,
            by `id`, `time`, `value`, `amount`, `event`, `missing`, `compartment`,
            `rate`, `duration`, `additional`, `interval`, `kind`.
        covariates: Names of columns with one number for each subject.
        into: The compartment that doses come into, as in `Doses`; a dictionary from the
            numbers of `CMT` where these differ, or are not 1 (nor `into + 1`).
        saved: As in `Doses`.

    Returns:
        The subjects, in the order in which they first appear.

    Raises:
        ValueError: If a column is missing or an entry is not what it must be; with the
            row, the first below the header being 1, and the subject.

    Example:
        ```python
        table = {
            "ID": [1, 1, 1, 2, 2],
            "TIME": [0.0, 0.5, 2.0, 0.0, 1.0],
            "AMT": [320.0, 0.0, 0.0, 300.0, 0.0],
            "DV": [None, 4.1, 7.7, None, 6.0],
            "WT": [79.6, 79.6, 79.6, 72.4, 72.4],
        }
        first, second = bjm.read_events(table, covariates=["WT"])
        first.observations  # [4.1, 7.7]
        second.covariates["WT"]  # 72.4
        ```
    """
    found, names = _columns(table, columns, covariates)
    rows: dict[str, list[_Row]] = {}
    for place in range(len(found["id"])):
        row = _Row(place + 1, {name: column[place] for name, column in found.items()})
        rows.setdefault(row.subject, []).append(row)
    kinds: dict[str, float] = {}
    return [
        _subject(subject, of_one, names, tuple(covariates), into, saved, kinds)
        for subject, of_one in rows.items()
    ]


class _Row:
    """One line of the table, whose entries are read by their names."""

    def __init__(self, number: int, entries: dict[str, Any]):
        self.number, self.entries = number, entries
        self.subject = _text(entries["id"])

    def __call__(self, name: str, default: float | None = None) -> float | None:
        """A number, or the default where there is none."""
        entry: Any = self.entries.get(name)
        if _is_missing(entry):
            return default
        try:
            return float(entry)
        except (TypeError, ValueError):
            raise self.error(f"{name} is {entry!r}, which is no number") from None

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        number = self(name, float(default))
        if number is None or number != int(number):
            raise self.error(f"{name} is {number}, which is no whole number")
        return int(number)

    def error(self, what: str) -> ValueError:
        return ValueError(f"Row {self.number}, subject {self.subject}: {what}.")


def _columns(
    table: Any, columns: Mapping[str, str] | None, covariates: Sequence[str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The columns that are known, by what they are, and what they are called."""
    if isinstance(table, str | Path):
        with open(table, newline="", encoding="utf-8-sig") as file:
            kept = (line for line in file if not line.startswith("#"))
            reader = csv.DictReader(kept, skipinitialspace=True)
            lines = list(reader)
            there = list(reader.fieldnames or [])
        table = {name: [line[name] for line in lines] for name in there}
    there = [str(name) for name in getattr(table, "columns", table)]
    columns = dict(columns or {})
    if unknown := columns.keys() - NAMES.keys():
        raise ValueError(f"`columns` names any of {list(NAMES)}, but got {unknown}.")
    found, names = {}, {}
    for what, usual in NAMES.items():
        wanted = columns.get(what, usual)
        name = wanted if wanted in there else None
        if name is None and what not in columns:
            name = next((one for one in there if one.upper() == usual), None)
        if name is None and (what in NEEDED or what in columns):
            raise ValueError(
                f"There is no column {wanted!r} for the {what}. Say what it is called, "
                f"`columns={{{what!r}: ...}}`; near matches: "
                f"{near_matches(wanted, there)}, of {there}."
            )
        if name is not None:
            found[what], names[what] = _listed(table[name]), name
    for name in covariates:
        if name not in there:
            raise ValueError(
                f"There is no column {name!r} for a covariate. Near matches: "
                f"{near_matches(name, there)}, of {there}."
            )
        found[f"{name} (covariate)"] = _listed(table[name])
    return found, names


def _subject(
    subject: str,
    rows: list[_Row],
    names: dict[str, str],
    covariates: tuple[str, ...],
    into: Any,
    saved: str,
    kinds: dict[str, float],
) -> Subject:
    times, values, doses, latest = [], [], {}, -np.inf
    for row in rows:
        time = row("time")
        if time is None:
            raise row.error(f"{names['time']} is missing")
        if time < latest:
            raise row.error(
                f"{names['time']} is {time:g} after {latest:g}. Sort the rows of a "
                "subject by time"
            )
        latest, event = time, _event_of(row, names)
        if event == GIVEN:
            doses.setdefault(_place(row, into), []).append((row, time))
        elif event == OBSERVED and not row.whole("missing", 0):
            _hold_to_one_kind(row, names, kinds)
            value = row("value")
            if value is None:
                raise row.error(
                    f"{names['value']} is missing of an observation. Leave the row "
                    "out, or set MDV to 1"
                )
            times.append(time)
            values.append(value)
    given = []
    for place, of_place in doses.items():
        given += _doses(of_place, names, place, saved)
    known = {name: _covariate(name, rows) for name in covariates}
    return Subject(times, values, doses=given, covariates=known, name=subject)


def _event_of(row: _Row, names: dict[str, str]) -> int:
    """Whether a row is an observation, a dose, or neither."""
    amount = row("amount", 0.0)
    if "event" not in names:
        return GIVEN if amount else OBSERVED
    event = row.whole("event", GIVEN if amount else OBSERVED)
    if event not in (OBSERVED, GIVEN, OTHER):
        raise row.error(
            f"{names['event']} is {event}. It may be 0 (an observation), 1 (a dose) or "
            "2 (neither); write resets as subjects of their own"
        )
    if event == OBSERVED and amount:
        raise row.error(
            f"{names['event']} is 0, an observation, but {names['amount']} is "
            f"{amount:g}"
        )
    return event


def _hold_to_one_kind(
    row: _Row, names: dict[str, str], kinds: dict[str, float]
) -> None:
    """All observations of a table are of one compartment, and of one kind."""
    for what in ("compartment", "kind"):
        number = row(what)
        if number is not None and number != kinds.setdefault(what, number):
            raise row.error(
                f"{names[what]} of an observation is {number:g} after "
                f"{kinds[what]:g}, but one kind of value is read. Leave out the rows "
                "of the other, or make each `Subject` by hand with a column for each"
            )


def _place(row: _Row, into: Any) -> Any:
    """The compartment of a dose."""
    number = row.whole("compartment", 1)
    if not isinstance(into, Mapping):
        # NONMEM counts from 1, and 0 is where doses go unless said otherwise.
        usual = {0, 1, into + 1} if isinstance(into, int) else {0, 1}
        if number not in usual:
            raise row.error(
                f"the compartment is {number}, but `into` is {into!r} for all doses. "
                f"Say where each goes, `into={{{number}: ...}}`"
            )
        return into
    if number not in into:
        raise row.error(
            f"the compartment is {number}, but `into` names {sorted(into)} alone"
        )
    return into[number]


def _doses(
    given: list[tuple[_Row, float]], names: dict[str, str], place: Any, saved: str
) -> list[Doses]:
    """The doses of one compartment, repeated ones written out."""
    listed = []
    for row, time in given:
        amount = row("amount")
        if amount is None or not amount > 0:
            what = names.get("amount", "an amount")
            raise row.error(f"{what} of a dose must be above 0, but is {amount}")
        if row("steady", 0.0):
            raise row.error(
                "a dose at steady state is not read. Write the doses before it as "
                "rows, or as additional ones"
            )
        lasts = _duration(row, amount)
        more, interval = row.whole("additional", 0), row("interval", 0.0)
        if more < 0 or (more and not (interval or 0) > 0):
            raise row.error(
                f"{more} additional doses need an interval above 0, but it is "
                f"{interval}"
            )
        steps = (interval or 0) * np.arange(more + 1)
        listed += [(time + step, amount, lasts) for step in steps]
    # A dose at once may come during an infusion, or at its start.
    kinds = [sorted(one for one in listed if (one[2] > 0) == lasts) for lasts in (0, 1)]
    found = []
    for of_kind in filter(None, kinds):
        times, amounts, durations = map(np.array, zip(*of_kind, strict=True))
        durations = durations if durations[0] > 0 else None
        try:
            found.append(Doses(times, amounts, place, duration=durations, saved=saved))
        except ValueError as error:
            raise ValueError(
                f"Subject {given[0][0].subject}: {error} Of a table: make that "
                "`Subject` by hand, `doses=(one, other)`."
            ) from None
    return found


def _duration(row: _Row, amount: float) -> float:
    """How long an infusion takes; 0 of a bolus."""
    rate, lasts = row("rate", 0.0) or 0.0, row("duration", 0.0) or 0.0
    if rate < 0 or lasts < 0:
        raise row.error(f"a rate or duration is negative: {min(rate, lasts):g}")
    if rate and lasts:
        raise row.error("there is a rate and a duration. Give one of them")
    return amount / rate if rate else lasts


def _covariate(name: str, rows: list[_Row]) -> float:
    """The one number of a subject."""
    found = {row.number: row(f"{name} (covariate)") for row in rows}
    known = {number: value for number, value in found.items() if value is not None}
    if not known:
        raise rows[0].error(f"the covariate {name} is missing")
    first = next(iter(known.values()))
    for number, value in known.items():
        if value != first:
            raise next(row for row in rows if row.number == number).error(
                f"the covariate {name} is {value:g} after {first:g}. It must be one "
                "number for each subject"
            )
    return first


def _listed(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _text(entry: Any) -> str:
    is_whole = isinstance(entry, float | np.floating) and entry == int(entry)
    return str(int(entry)) if is_whole else str(entry).strip()


def _is_missing(entry: Any) -> bool:
    if entry is None or (isinstance(entry, str) and entry.strip().lower() in MISSING):
        return True
    return isinstance(entry, float | np.floating) and bool(np.isnan(entry))
