"""Faults of known sizes, laid over normal rows, and what a bundle makes of them.

The rows after the beginning of a fault go through copies of a scorer and a policy that have seen the normal rows before it, so each
fault meets the state that a device would have. Size 0 shows what would have been raised without any fault.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, AlarmPolicy
from edgeml.model.bundle import Bundle
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.scorer import AssetScorer, ScoringEngine
from model_training.evaluation.bundle_scoring import score_rows

TRIALS, ROWS = 40, 128
"""Trials of each fault and size, and rows for which each lasts."""

Fault = Callable[[np.ndarray, np.ndarray, float, float, np.random.Generator], np.ndarray]
"""(normal values (r,), values of the same channel at other times (r,), standard deviation, size, random numbers) -> values (r,)."""


def _step(normal: np.ndarray, other: np.ndarray, std: float, size: float, random: np.random.Generator) -> np.ndarray:
    return normal + size * std * random.choice((-1, 1))


def _ramp(normal: np.ndarray, other: np.ndarray, std: float, size: float, random: np.random.Generator) -> np.ndarray:
    return normal + size * std * random.choice((-1, 1)) * np.linspace(0, 1, len(normal))


def _noise(normal: np.ndarray, other: np.ndarray, std: float, size: float, random: np.random.Generator) -> np.ndarray:
    return normal + size * std * random.standard_normal(len(normal))


def _stuck(normal: np.ndarray, other: np.ndarray, std: float, size: float, random: np.random.Generator) -> np.ndarray:
    return np.full_like(normal, normal[0]) if size else normal


def _broken_relation(normal: np.ndarray, other: np.ndarray, std: float, size: float, random: np.random.Generator) -> np.ndarray:
    return (1 - size) * normal + size * other


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        sizes: in standard deviations of the channel, unless `unit` says otherwise.
    """

    name: str
    apply: Fault
    sizes: tuple[float, ...]
    unit: str = "σ"


FAULTS = (
    Kind("step", _step, (0.0, 1.0, 2.0, 4.0, 8.0)),
    Kind("ramp", _ramp, (2.0, 4.0, 8.0)),
    Kind("noise", _noise, (1.0, 2.0, 4.0)),
    Kind("stuck", _stuck, (1.0,), ""),
    Kind("relation broken", _broken_relation, (0.5, 1.0), "share"),
)
"""The faults; a new one is a function and an entry here."""


@dataclass(frozen=True)
class Found:
    """The outcome of one kind and size.

    Attributes:
        trials: faults laid over normal rows.
        found: those that raised an alarm while they lasted.
        rows: median rows to the alarm; infinite if less than half were found.
        named: of those found, the share in which the channel was among the three that deviated most.
        confidence: (k,) of all decided rows while the faults lasted.
    """

    kind: str
    size: float
    unit: str
    trials: int
    found: int
    rows: float
    named: float
    confidence: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class NormalRows:
    """Normal rows of one recording, in the bundle's channels and order.

    Attributes:
        times: (n,) int64, ns.
        values: (n, c) float32, NaN for missing.
        usable: (n,) bool: a fault may begin here.
    """

    times: np.ndarray
    values: np.ndarray
    usable: np.ndarray


def table(bundle: Bundle, engine: ScoringEngine, rows: NormalRows, seed: int, trials: int = TRIALS, length: int = ROWS) -> list[Found]:
    """Lay each fault over the rows and count those that are found; an empty table if there is no room for any.

    Args:
        trials: faults of each kind and size.
        length: rows for which each fault lasts.
    """
    random = np.random.default_rng(seed)
    cases = [(kind, size) for kind in FAULTS for size in kind.sizes]
    outcomes: dict[tuple[str, float], list[_Outcome]] = {(kind.name, size): [] for kind, size in cases}
    measured = [place for place, name in enumerate(bundle.manifest.names) if name not in bundle.manifest.context]
    length = min(length, max(8, int(rows.usable.sum()) // 4))
    for begin, state in _states(bundle, engine, rows, random, trials, length):
        for kind, size in cases:
            channel = int(random.choice(measured))
            values = rows.values[begin : begin + length].copy()
            elsewhere = int(random.integers(0, len(rows.values) - length))
            other = rows.values[elsewhere : elsewhere + length, channel]
            values[:, channel] = kind.apply(values[:, channel].copy(), other, state.std[channel], size, random)
            outcomes[kind.name, size].append(state.run(rows.times[begin : begin + length], values, channel))
    return [_found(kind, size, outcomes[kind.name, size]) for kind, size in cases if outcomes[kind.name, size]]


def lines(found: Sequence[Found], interval_s: float) -> list[tuple[str, ...]]:
    """A table of text, the headings first."""
    rows = [("fault", "size", "found", "median rows to the alarm", "median time", "channel named")]
    return [*rows, *(_line(each, interval_s) for each in found)]


def plain(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Plain data: kind, size, trials, found, median rows to the alarm, and the share in which the channel was named."""
    return [{key: getattr(each, key) for key in ("kind", "size", "unit", "trials", "found", "rows", "named")} for each in found]


def _line(found: Found, interval_s: float) -> tuple[str, ...]:
    late = math.isinf(found.rows)
    return (
        found.kind,
        f"{found.size:g} {found.unit}".strip() if found.unit else "-",
        f"{100 * found.found / found.trials:.0f} % of {found.trials}",
        "-" if late else f"{found.rows:.0f}",
        "-" if late else f"{found.rows * interval_s:.6g} s",
        "-" if math.isnan(found.named) else f"{100 * found.named:.0f} %",
    )


@dataclass(frozen=True)
class _Outcome:
    """Rows until an alarm, infinite without one; whether the channel deviated most then; the confidences of the decided rows."""

    delay: float
    named: bool
    confidence: np.ndarray


def _found(kind: Kind, size: float, outcomes: list[_Outcome]) -> Found:
    delays = [each.delay for each in outcomes]
    named = [each.named for each in outcomes if math.isfinite(each.delay)]
    return Found(
        kind.name,
        size,
        kind.unit,
        len(outcomes),
        len(named),
        float(np.median(delays)),
        sum(named) / len(named) if named else math.nan,
        np.concatenate([each.confidence for each in outcomes]),
    )


class _State:
    """A scorer and a policy that have seen the rows before a fault."""

    def __init__(self, scorer: AssetScorer, policy: AlarmPolicy, shared: dict[int, object], std: np.ndarray) -> None:
        self._scorer, self._policy, self._shared, self.std = scorer, policy, shared, std

    def run(self, times: np.ndarray, values: np.ndarray, channel: int) -> _Outcome:
        """Feed the rows of a fault in a channel."""
        scorer, policy = copy.deepcopy(self._scorer, dict(self._shared)), self._policy.copy()
        result, confidence = score_rows(scorer, times, values)
        decided = confidence[np.isfinite(confidence)]
        for change in policy.evaluate_block("recording", times.tolist(), confidence.tolist()).changes:
            if change.alarm.state == ACTIVE:
                strongest = np.argsort(-np.abs(np.nan_to_num(result.deviations[change.row].astype(np.float32))))[:3]
                return _Outcome(float(change.row), channel in strongest, decided)
        return _Outcome(math.inf, False, decided)


def _states(
    bundle: Bundle, engine: ScoringEngine, rows: NormalRows, random: np.random.Generator, trials: int, length: int
) -> Iterator[tuple[int, _State]]:
    """Positions at which no alarm is open, with the state there."""
    scorer, policy = AssetScorer(bundle, engine), AlarmPolicy(effective_policy(bundle.manifest), "", bundle.manifest.name)
    shared: dict[int, object] = {id(engine): engine, id(bundle): bundle, id(bundle.manifest): bundle.manifest}
    possible = np.flatnonzero(rows.usable[: len(rows.usable) - length])
    if not len(possible):
        return
    at = 0
    for begin in np.sort(random.choice(possible, min(trials, len(possible)), replace=False)).tolist():
        times, values = rows.times[at:begin], rows.values[at:begin]
        at = begin
        if len(times):
            _, confidence = score_rows(scorer, times, values)
            policy.evaluate_block("recording", times.tolist(), confidence.tolist())
        if scorer.baseline is None or policy.alarm is not None or not len(times) or not np.isfinite(confidence[-1]):
            continue
        yield begin, _State(scorer, policy, shared, np.array(scorer.baseline.std))
