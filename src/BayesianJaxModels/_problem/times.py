"""A simulation at other times."""

from typing import Any


def at_times(simulate: Any, ts: Any) -> Any:
    """The same simulation at other times, if it has any.

    Raises:
        TypeError: If it has none.
    """
    move = getattr(simulate, "at", None)
    if move is None:
        raise TypeError(
            "Other times need a simulation that has them: a `Solve`, or an object of "
            f"your own with a method `at(ts)`. `simulate` is a "
            f"{type(simulate).__name__}."
        )
    return move(ts)


def at_some(simulate: Any, counts: Any) -> Any:
    """The same simulation, of whose times some do not count, if it has times."""
    count = getattr(simulate, "counting", None)
    return simulate if count is None else count(counts)


def times_of(simulate: Any) -> Any:
    """The times of a simulation, in full precision where it keeps them; or `None`."""
    clock = getattr(simulate, "clock", None)
    return getattr(simulate, "ts", None) if clock is None else clock.ts
