"""Derived channels: a table of causal functions, applied to each segment without gaps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np

Column = np.ndarray


class Function(NamedTuple):
    """A function that derives a channel.

    Attributes:
        takes: minimum and maximum number of input channels.
        make: (columns of the channels, parameter, interval in s) -> column of the same length.
        about: description for the README.
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
        "parameter × the square root of the sum of squares",
    ),
    "change": Function((1, 1), _change, "difference to the previous step, per second"),
    "rolling_mean": Function((1, 1), _rolling_mean, "mean over the last `parameter` seconds; missing until that many have passed"),
    "rolling_std": Function((1, 1), _rolling_std, "standard deviation over the last `parameter` seconds"),
}


def enrich(
    channels: tuple[str, ...], values: np.ndarray, segment: np.ndarray, derived: Mapping[str, Declared], interval_s: float
) -> tuple[tuple[str, ...], np.ndarray]:
    """Append the derived channels to channels and values (n, c) float32.

    Raises:
        KeyError: an input channel does not exist.
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
