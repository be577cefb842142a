"""Derived channels: a table of functions, each of which sees one segment without gaps and never looks ahead. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

Column = np.ndarray


class Function(NamedTuple):
    """A way to derive a channel.

    Attributes:
        takes: how many channels, at least and at most.
        make: (the channels' columns, parameter, interval in s) -> a column of the same length.
        about: for the README.
    """

    takes: tuple[int, int]
    make: Callable[[list[Column], float, float], Column]
    about: str


class Declared(Protocol):
    """One derived channel of a plan."""

    @property
    def function(self) -> str: ...
    @property
    def of(self) -> list[str]: ...
    @property
    def parameter(self) -> float: ...


def _ratio(columns: list[Column], factor: float, interval: float) -> Column:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(columns[1] != 0, factor * columns[0] / columns[1], np.nan)


def _change(columns: list[Column], parameter: float, interval: float) -> Column:
    return np.concatenate([[np.nan], np.diff(columns[0])]) / interval if len(columns[0]) else columns[0]


def _windows(column: Column, seconds: float, interval: float) -> Column:
    size = max(1, round(seconds / interval))
    padded = np.concatenate([np.full(size - 1, np.nan), column])
    return np.lib.stride_tricks.sliding_window_view(padded, size)


def _rolling_mean(columns: list[Column], seconds: float, interval: float) -> Column:
    return _windows(columns[0], seconds, interval).mean(axis=1)


def _rolling_std(columns: list[Column], seconds: float, interval: float) -> Column:
    return _windows(columns[0], seconds, interval).std(axis=1)


FUNCTIONS: dict[str, Function] = {
    "sum": Function((1, 16), lambda columns, factor, _: factor * np.sum(columns, axis=0), "parameter × the sum"),
    "difference": Function((2, 2), lambda columns, factor, _: factor * (columns[0] - columns[1]), "parameter × (first - second)"),
    "product": Function((1, 16), lambda columns, factor, _: factor * np.prod(columns, axis=0), "parameter × the product"),
    "ratio": Function((2, 2), _ratio, "parameter × first / second; missing where the second is 0"),
    "magnitude": Function(
        (1, 16),
        lambda columns, factor, _: factor * np.sqrt(np.sum(np.square(columns), axis=0)),
        "parameter × the root of the sum of squares",
    ),
    "change": Function((1, 1), _change, "since the step before, per second"),
    "rolling_mean": Function((1, 1), _rolling_mean, "over the last `parameter` seconds; missing until there are so many"),
    "rolling_std": Function((1, 1), _rolling_std, "standard deviation over the last `parameter` seconds"),
}


def enrich(
    channels: tuple[str, ...], values: np.ndarray, segment: np.ndarray, derived: Mapping[str, Declared], interval_s: float
) -> tuple[tuple[str, ...], np.ndarray]:
    """Channels and values (n, c) float32 with the derived ones behind.

    Raises:
        KeyError: a derived channel is of one that is not there.
    """
    columns = {channel: values[:, place].astype(np.float64) for place, channel in enumerate(channels)}
    for name, declared in derived.items():
        of = [columns[each] for each in declared.of]
        column_values = np.full(len(values), np.nan)
        for each in np.unique(segment):
            at = np.flatnonzero(segment == each)
            column_values[at] = FUNCTIONS[declared.function].make([column[at] for column in of], declared.parameter, interval_s)
        columns[name] = column_values
    names = (*channels, *derived)
    return names, np.stack([columns[name] for name in names], axis=1).astype(np.float32)
