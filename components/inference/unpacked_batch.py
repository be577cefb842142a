"""A sensor batch with its columns as arrays, unpacked once for all who need them. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from edgeml.messages import SensorBatch


class UnpackedBatch(NamedTuple):
    """
    Attributes:
        times: (n,) event times, ns.
        values, quality: (n, c).
        in_order: (n,) bool, whether the row's time may be true; None: all may.
        end_ns: event time of its latest row in order; 0: it has none.
    """

    batch: SensorBatch
    times: np.ndarray
    values: np.ndarray
    quality: np.ndarray
    in_order: np.ndarray | None
    end_ns: int

    @classmethod
    def of(cls, batch: SensorBatch) -> UnpackedBatch:
        """
        Raises:
            MessageError: the lengths of the batch's columns do not agree.
        """
        times, values, quality = batch.arrays()
        in_order = batch.plausible_times(quality)
        end_ns = int((times if in_order is None else times[in_order]).max(initial=0))
        return cls(batch, times, values, quality, in_order, end_ns)

    @property
    def times_in_order(self) -> np.ndarray:
        return self.times if self.in_order is None else self.times[self.in_order]

    @property
    def epoch(self) -> int:
        return 0 if self.batch.epoch is msgspec.UNSET else self.batch.epoch

    def from_row(self, first: int) -> UnpackedBatch:
        """The rows from number `first` on."""
        in_order = None if self.in_order is None else self.in_order[first:]
        return self._replace(times=self.times[first:], values=self.values[first:], quality=self.quality[first:], in_order=in_order)
