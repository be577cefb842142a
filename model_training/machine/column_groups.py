"""Groups of derived columns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Derived columns that are used together or not at all.

    Attributes:
        name: for people.
        places: their places among the columns of a row.
    """

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """Hinges of the measured channels, for relations that are no straight lines, such as a pressure over a speed.

    Attributes:
        places: their places among the columns.
        channels: the channel of each.
    """

    places: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
