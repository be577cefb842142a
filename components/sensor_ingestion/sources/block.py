"""What every source gives: channels with units and plausible ranges, and blocks of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Channel(NamedTuple):
    """One measured quantity.

    Attributes:
        name, unit: as in messages.
        low, high: what the quantity can plausibly be; a reading outside is the sensor's fault.
    """

    name: str
    unit: str
    low: float = float("-inf")
    high: float = float("inf")


class Block(NamedTuple):
    """Rows as a source read them.

    Attributes:
        times: (n,) int64, event time in ns since the epoch, as read: they may run backwards.
        values: (n, c) float32, NaN where there is none.
    """

    times: np.ndarray
    values: np.ndarray
