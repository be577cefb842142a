"""Blocks of model results."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np

from edgeml.errors import MessageError
from edgeml.messages.message import Message, Name, check_length
from edgeml.messages.quality import IMPLAUSIBLE_TIME, QUALITY_NAMES

_TYPES = {
    "times": "<i8",
    "starts": "<i8",
    "score": "<f4",
    "confidence": "<f4",
    "reason": "u1",
    "deviations": "<f2",
    "latency_us": "<f4",
}
"""Column -> type of its packed elements. `latency_us` has two elements per row, `deviations` one per channel, the others one."""
_FIXED_ROW_BYTES = 8 + 8 + 4 + 4 + 1 + 2 * 4
_IMPLAUSIBLE_REASONS = tuple(QUALITY_NAMES[code] for code in IMPLAUSIBLE_TIME)


class ResultBlock(Message, frozen=True, kw_only=True, tag="results"):
    """n results of one model for one asset, one for each sensor row of the batch that it answers.

    Attributes:
        stream, seq: the sender's stream and sequence number.
        model, model_version, digest: the bundle (SHA-256 of `model.tflite`, hex).
        answers_stream, answers_seq: stream and sequence number of the `SensorBatch`.
        complete: whether this is the last block for that batch.
        channels: c names, in the order of `deviations`.
        times, starts: n int64: event time of the window's last and first row, ns.
        score: n float32, the model's output; NaN without a decision.
        confidence: n float32, 0 to 1, that the condition which the model detects is present; NaN without a decision.
        reason: n uint8: 0 for a decision, else 1 + an index into `reasons`.
        reasons: texts that explain why there was no decision.
        deviations: n * c float16: distance of the latest rows from the baseline in standard deviations; NaN where unknown.
        latency_us: n * 2 float32: microseconds spent on preparing the window and on the model.
        epoch: the epoch of the batch.
    """

    BINARY: ClassVar[bool] = True
    asset: Name
    stream: Name
    seq: int
    model: Name
    model_version: Name
    digest: Name
    answers_stream: Name
    answers_seq: int
    complete: bool
    channels: tuple[str, ...]
    times: bytes
    starts: bytes
    score: bytes
    confidence: bytes
    reason: bytes
    reasons: tuple[str, ...]
    deviations: bytes
    latency_us: bytes
    epoch: int | msgspec.UnsetType = msgspec.UNSET

    def __len__(self) -> int:
        return len(self.reason)

    def arrays(self) -> ResultColumns:
        """The columns as read-only arrays.

        Raises:
            MessageError: the lengths of the columns disagree.
        """
        n, c = len(self.reason), len(self.channels)
        for name, size in (("times", 8), ("starts", 8), ("score", 4), ("confidence", 4), ("deviations", 2 * c), ("latency_us", 8)):
            check_length(self, name, len(getattr(self, name)), n * size)
        reason = np.frombuffer(self.reason, "u1")
        if n and int(reason.max()) > len(self.reasons):
            raise MessageError("results: a reason code has no text; the sender packed this message wrongly")
        return ResultColumns(
            times=np.frombuffer(self.times, "<i8"),
            starts=np.frombuffer(self.starts, "<i8"),
            score=np.frombuffer(self.score, "<f4"),
            confidence=np.frombuffer(self.confidence, "<f4"),
            reason=reason,
            deviations=np.frombuffer(self.deviations, "<f2").reshape(n, c),
            latency_us=np.frombuffer(self.latency_us, "<f4").reshape(n, 2),
        )

    def plausible_times(self, reason: np.ndarray) -> np.ndarray | None:
        """Select the results whose event time can be true: (n,) bool from the (n,) reason codes, or None for all results."""
        wrong = [code for code, text in enumerate(self.reasons, 1) if text in _IMPLAUSIBLE_REASONS]
        return ~np.isin(reason, wrong) if wrong else None


class ResultColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a `ResultBlock` as numpy arrays of equal length n; deviations (n, c), latency_us (n, 2).

    Attributes:
        levels, relations: (n, c) float32, from a model that explains its scores; NaN without a decision. A block does not carry them.
    """

    times: np.ndarray
    starts: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    reason: np.ndarray
    deviations: np.ndarray
    latency_us: np.ndarray
    levels: np.ndarray | None = None
    relations: np.ndarray | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of one packed row."""
        return _FIXED_ROW_BYTES + self.deviations.shape[1] * np.dtype(_TYPES["deviations"]).itemsize

    def packed(self, rows: slice = slice(None)) -> dict[str, bytes]:
        """The columns, or these rows of them, as `ResultBlock` carries them."""
        return {name: np.ascontiguousarray(getattr(self, name)[rows], kind).tobytes() for name, kind in _TYPES.items()}
