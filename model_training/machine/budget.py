"""The false-alarm budget: `1 per week`, and the score that keeps it.

Maxima of blocks of normal rows follow a Gumbel distribution, whose tail extends beyond what the history has seen; conformal
quantiles end there. A scaled score of u is exceeded by chance once in `block * exp(u)` rows, for each of the scores. The level adds the
uncertainty of the fit itself, because a tail fitted on some 30 maxima is as often too short as too long.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from model_training.training_request import TrainingError

DEFAULT = "1 per week"
SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0, "month": 2_629_800.0, "year": 31_557_600.0}
PROMISE = 5
"""A history of n rows promises at most one false alarm in 5 n rows; beyond that the tail of the fit is not known."""
BLOCKS, MIN_BLOCK = 30, 16
_EULER = 0.5772156649

_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:alarms?\s*)?(?:per|a|an|in|/)\s*(\d+(?:\.\d+)?)?\s*([a-z]+?)s?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Budget:
    """A number of false alarms per asset in a time.

    Attributes:
        text: as the user wrote it.
        seconds: from one alarm to the next, on average; None: the budget is in rows.
        rows: the same in rows; None: the budget is in seconds.
    """

    text: str
    seconds: float | None = None
    rows: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Parse a text such as `1 per week` or `2 per 500 rows`.

        Raises:
            TrainingError: it cannot be read.
        """
        match = _PATTERN.fullmatch(text)
        unit = match.group(3).lower() if match else ""
        if match is None or unit not in (*SECONDS, "row"):
            raise TrainingError(f"--budget {text!r} cannot be read; write a number per time, such as `1 per week` or `2 per month`")
        count, several = float(match.group(1)), float(match.group(2) or 1)
        if count <= 0 or several <= 0:
            raise TrainingError(f"--budget {text!r} allows no alarm at all; write a number above 0, such as `1 per year`")
        per = several / count
        return cls(text, rows=per) if unit == "row" else cls(text, seconds=per * SECONDS[unit])

    def in_rows(self, interval_s: float) -> float:
        """Rows from one false alarm to the next, on average."""
        return self.rows if self.rows is not None else (self.seconds or 0.0) / interval_s


@dataclass(frozen=True)
class Tail:
    """The tail of s scores in normal running.

    Attributes:
        location, scale: (s,) of the maxima of blocks.
        block: rows of a block.
        blocks: number of blocks that were fitted.
    """

    location: np.ndarray
    scale: np.ndarray
    block: int
    blocks: int

    @classmethod
    def fit(cls, scores: np.ndarray, rows: int) -> Tail:
        """Fit by moments.

        Args:
            scores: (n, s) scores of normal rows, in order, none of which trained the model that gave them.
            rows: rows of the history.
        """
        block = block_rows(rows)
        maxima = block_maxima(scores, block)
        scale = np.maximum(maxima.std(0, ddof=1) * math.sqrt(6) / math.pi, 1e-3)
        return cls(maxima.mean(0) - _EULER * scale, scale, block, len(maxima))

    def scaled(self, scores: np.ndarray) -> np.ndarray:
        """The largest scaled score of each row, (n,), from scores (n, s)."""
        return ((scores - self.location) / self.scale).max(-1)

    def level(self, rows: float) -> float:
        """The scaled score that normal running exceeds once in so many rows."""
        plain = math.log(max(rows * len(self.location) / self.block, 1.5))
        return plain + (1.17 + 1.1 * plain * plain) / (2 * self.blocks)


def block_rows(rows: int) -> int:
    """Rows of a block: a thirtieth of the history, so that the maxima of blocks are nearly independent."""
    return max(MIN_BLOCK, rows // BLOCKS)


def block_maxima(scores: np.ndarray, block: int) -> np.ndarray:
    """The maxima of whole blocks, (blocks, s)."""
    whole = max(len(scores) // block, 1) * block
    if len(scores) < whole:
        return scores.max(0, keepdims=True)
    return scores[:whole].reshape(-1, block, scores.shape[1]).max(1)


def describe(seconds: float) -> str:
    """A time between alarms for people, such as `1 per 3.3 hours`."""
    unit = next((name for name in reversed(SECONDS) if seconds >= SECONDS[name]), "minute")
    number = seconds / SECONDS[unit]
    return f"1 per {unit}" if abs(number - 1) < 0.005 else f"1 per {number:.2g} {unit}s"
