"""Blocks of model results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

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
MAX_EXPLANATIONS = 255
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
        why: of a model that explains its scores: short texts on the channels that speak for a condition. Its deviations are not in standard
            deviations, but in units of the alarm level. Absent for any other model.
        why_code: n uint8: 0 for a result without a text, else 1 + an index into `why`. Absent if no result has one.
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
    why: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    why_code: bytes | msgspec.UnsetType = msgspec.UNSET

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
        if self.why_code is not msgspec.UNSET:
            check_length(self, "why_code", len(self.why_code), n)
            if max(self.why_code, default=0) > (0 if self.why is msgspec.UNSET else len(self.why)):
                raise MessageError("results: a code of `why_code` has no text; the sender packed this message wrongly")
        return ResultColumns(
            times=np.frombuffer(self.times, "<i8"),
            starts=np.frombuffer(self.starts, "<i8"),
            score=np.frombuffer(self.score, "<f4"),
            confidence=np.frombuffer(self.confidence, "<f4"),
            reason=reason,
            deviations=np.frombuffer(self.deviations, "<f2").reshape(n, c),
            latency_us=np.frombuffer(self.latency_us, "<f4").reshape(n, 2),
        )

    @property
    def explains(self) -> bool:
        """Whether the model explains its scores."""
        return self.why is not msgspec.UNSET

    def explanation(self, row: int) -> str:
        """The text of a result, or an empty one; call `arrays` before, which verifies the codes."""
        if self.why is msgspec.UNSET or self.why_code is msgspec.UNSET or not self.why_code[row]:
            return ""
        return self.why[self.why_code[row] - 1]

    def plausible_times(self, reason: np.ndarray) -> np.ndarray | None:
        """Select the results whose event time can be true: (n,) bool from the (n,) reason codes, or None for all results."""
        wrong = [code for code, text in enumerate(self.reasons, 1) if text in _IMPLAUSIBLE_REASONS]
        return ~np.isin(reason, wrong) if wrong else None


def packed_explanations(texts: Sequence[str]) -> dict[str, Any]:
    """The fields `why` and `why_code` of a block of a model that explains its scores.

    Args:
        texts: one for each result, empty for none; at most `MAX_EXPLANATIONS` different ones.
    """
    table = tuple(dict.fromkeys(filter(None, texts)))
    codes = {text: code for code, text in enumerate(table, 1)}
    return {"why": table, "why_code": bytes(codes.get(text, 0) for text in texts)} if table else {"why": ()}


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
