"""Batches of sensor rows."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from edgeml.messages.message import Message, Name, check_length
from edgeml.messages.quality import AHEAD, BACKWARDS


class SensorBatch(Message, frozen=True, kw_only=True, tag="sensor-batch"):
    """n rows of c channels, read by the source of one asset.

    Attributes:
        stream, seq: the sender's stream and sequence number (see `edgeml.messages.sequencing`).
        channels, units: c names and their units (`g`, `A`, `bar`, `°C`, `V`, `l/min`).
        times: n int64, event time in ns since the epoch.
        values: n * c float32, row by row; a missing value is NaN.
        quality: n * c uint8 quality codes, row by row; empty if all are good.
        epoch: number of times the event times of this stream went back for good; unset means never. Rows are ordered by time only
            within an epoch.
    """

    BINARY: ClassVar[bool] = True
    asset: Name
    stream: Name
    seq: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    times: bytes
    values: bytes
    quality: bytes = b""
    # An unset field is not encoded, which keeps the bytes of messages from before the field existed.
    epoch: int | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(
        cls,
        asset: str,
        stream: str,
        seq: int,
        channels: tuple[str, ...],
        units: tuple[str, ...],
        times: np.ndarray,
        values: np.ndarray,
        quality: np.ndarray | None = None,
        epoch: int = 0,
    ) -> SensorBatch:
        """Pack arrays: times (n,) ns, values (n, c), quality (n, c) or None if all are good."""
        codes = b"" if quality is None or not quality.any() else np.ascontiguousarray(quality, "u1").tobytes()
        return cls(
            asset=asset,
            stream=stream,
            seq=seq,
            channels=channels,
            units=units,
            times=np.ascontiguousarray(times, "<i8").tobytes(),
            values=np.ascontiguousarray(values, "<f4").tobytes(),
            quality=codes,
            epoch=epoch or msgspec.UNSET,
        )

    def plausible_times(self, quality: np.ndarray) -> np.ndarray | None:
        """Select the rows whose event time can be true: (n,) bool from the (n, c) quality, or None for all rows."""
        if not self.quality:
            return None
        wrong = (quality == BACKWARDS) | (quality == AHEAD)
        return ~wrong.any(axis=1) if wrong.any() else None

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times (n,) int64, values (n, c) float32 and quality (n, c) uint8, read-only.

        Raises:
            MessageError: the lengths of the columns disagree.
        """
        n, c = len(self.times) // 8, len(self.channels)
        check_length(self, "units", len(self.units), c)
        check_length(self, "times", len(self.times), n * 8)
        check_length(self, "values", len(self.values), n * c * 4)
        if self.quality:
            check_length(self, "quality", len(self.quality), n * c)
            quality = np.frombuffer(self.quality, "u1").reshape(n, c)
        else:
            quality = np.zeros((n, c), "u1")
        return np.frombuffer(self.times, "<i8"), np.frombuffer(self.values, "<f4").reshape(n, c), quality
