"""Scores the rows of one asset, one result per row: learning, windows, scaling and the model, in the order of time.

A row has no decision for one of these reasons, checked in this order:

1. Its time is not after the last row's, or is flagged as implausible: the row is ignored.
2. The median interval of the last complete `PACE_ROWS` rows is less than half, or more than twice, that of the model.
3. The machine is stopped, or has just been started and settles: the row enters no window, and the window restarts.
4. The baseline is being learned, from good rows of a running machine only.
5. A value in the shortest view is faulty. The longer views leave faulty values out of their means; the shortest must be entirely good.
   In a model with a `reference`, instead: more than half of the channels that are not context are faulty in this row.
6. The window does not contain `min_rows` rows yet, at the start, after a gap, or after a stop. After a gap that is not longer than the
   views, they keep their earlier rows, so that a fault that began in the gap is compared with the time before it; then `rows_after_gap`
   new rows suffice. In a model with a `reference`, the views restart after each gap, and the reference needs its own `min_rows`.
7. The model's output is not finite, or the runtime fails.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import numpy as np

from edgeml.errors import BundleError
from edgeml.messages import AHEAD, BACKWARDS, GAP, GOOD, MISSING, QUALITY_NAMES, ResultColumns
from edgeml.model.baseline import Baseline
from edgeml.model.baseline_learner import BaselineLearner
from edgeml.model.bundle import Bundle
from edgeml.model.contrast_window import ContrastWindow
from edgeml.model.derived_columns import DerivedColumns
from edgeml.model.imputation import Imputation
from edgeml.model.manifest import Manifest, Stopped
from edgeml.model.reason_codes import LEARNING, ReasonCodes
from edgeml.model.window import Window

STOPPED = "stopped"
SETTLING = "stopped: settling after the start"
FILLING = "window filling"
AFTER_GAP = "gap: window filling"
NOT_LATER, AHEAD_OF_CLOCK = QUALITY_NAMES[BACKWARDS], QUALITY_NAMES[AHEAD]
OUT_OF_LINE = (NOT_LATER, AHEAD_OF_CLOCK)
NO_NUMBER = "model: no finite answer"
PACE_ROWS = 20
MAX_READING = np.float32(1e20)
"""Larger readings are limited to this: float32 can hold their deviations and sums, so that two extreme readings do not yield NaN."""


class ScoringEngine(Protocol):
    """Scores an input, as `edgeml.model.runtime.Engine` does. A score that is not finite yields no decision."""

    def run(self, features: np.ndarray) -> float: ...


class ExplainingEngine(ScoringEngine, Protocol):
    """Of a model that `explains`: also gives its whole output for an input, (1 + 2c,): the score, levels and relations."""

    def explain(self, features: np.ndarray) -> np.ndarray: ...


class AssetScorer:
    """Scores the rows of one asset.

    Attributes:
        baseline: the baseline of this asset; None while it is being learned.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: ScoringEngine,
        baseline: Baseline | None = None,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Args:
            baseline: a baseline learned earlier; None to learn one, or to use that of a manifest with `fixed` scaling.
            clock_ns: the clock that measures the steps.

        Raises:
            BundleError: the baseline was learned for other inputs.
        """
        manifest = bundle.manifest
        if baseline is not None and baseline.scaling_id != manifest.scaling_id:
            raise BundleError(f"a baseline of inputs {baseline.scaling_id}, model {manifest.name} requires {manifest.scaling_id}")
        self.bundle, self._manifest, self._engine, self._clock = bundle, manifest, engine, clock_ns
        self._longest_gap = round(manifest.longest_gap_s * 1e9)
        # After a gap not longer than the longest view, that view still contains earlier rows.
        self._longest_view = round(max(view.rows for view in manifest.views) * manifest.interval_s * 1e9)
        self._after = min(manifest.min_rows, manifest.rows_after_gap or manifest.min_rows)
        self._last: int | None = None
        self._begin(baseline)

    def reset(self) -> None:
        """Discard everything about the asset, including its learned baseline."""
        self._begin(None)

    def begin_epoch(self) -> None:
        """Accept any time for the next row: the windows restart, and the learned rows stay."""
        self._last = None
        self._running.begin_epoch()
        self._pace = _Pace(self._manifest.interval_s, self._manifest.name)
        self._answers.clear()
        self._restart(after_gap=True)
        if self._window is not None:
            self._window.forget()
        if self._columns is not None:
            self._columns.restart()
        if self._imputation is not None:
            self._imputation.restart()

    def swap_model(self, bundle: Bundle, engine: ScoringEngine) -> None:
        """Continue with another model of the `same_windows`: the baseline, the windows and the rest stay.

        Raises:
            BundleError: its windows differ.
        """
        if not same_windows(self._manifest, bundle.manifest):
            raise BundleError(f"model {bundle.manifest.name} has other windows than {self._manifest.name}; create a new scorer")
        self.bundle, self._manifest, self._engine = bundle, bundle.manifest, engine
        self._pace.model = bundle.manifest.name

    def feed(self, times: np.ndarray, values: np.ndarray, quality: np.ndarray) -> tuple[ResultColumns, tuple[str, ...]]:
        """Score the next rows.

        Args:
            times: (n,) int64, event time in ns.
            values: (n, c) float32, the manifest's channels in its order.
            quality: (n, c) uint8, codes of `edgeml.messages`.

        Returns:
            One result per row, and the texts of its `reason` codes. Those of a model that `explains` have levels and relations, and
            the deviation of a channel is its level or its relation, whichever is farther from 0; NaN where its latest value is faulty.
        """
        n, c, explains = len(times), len(self._manifest.channels), self._manifest.explains
        out = ResultColumns(
            times=np.array(times, np.int64),
            starts=np.array(times, np.int64),
            score=np.full(n, np.nan, np.float32),
            confidence=np.full(n, np.nan, np.float32),
            reason=np.zeros(n, np.uint8),
            deviations=np.full((n, c), np.nan, np.float16),
            latency_us=np.zeros((n, 2), np.float32),
            levels=np.full((n, c), np.nan, np.float32) if explains else None,
            relations=np.full((n, c), np.nan, np.float32) if explains else None,
        )
        reasons = ReasonCodes()
        values, faults, faulty = _sound(values, quality)
        columns = None if self._columns is None else self._columns.block(out.times, values, faults)
        for i, at in enumerate(out.times.tolist()):
            begun = self._clock()
            reason, ready = self._take(at, values[i], faults[i] if faulty[i] else None, None if columns is None else columns[i])
            features = np.empty(0) if ready is None else ready.features()
            window = self._window
            if window is not None and window.rows and reason not in (STOPPED, SETTLING, *OUT_OF_LINE) and not self._pace.fault:
                out.starts[i] = window.start
                if not explains:
                    out.deviations[i] = np.clip(window.latest, -6e4, 6e4)
            prepared = self._clock()
            out.latency_us[i, 0] = (prepared - begun) / 1000
            if ready is None:
                out.reason[i] = reasons.code(reason)
                if reason not in OUT_OF_LINE:
                    self._answers.clear()
                continue
            answer = self._explained(features, out, i, faults[i]) if explains else self._engine.run(features)
            if math.isfinite(answer):
                self._answers.append(answer)
                out.score[i] = score = sum(self._answers) / len(self._answers)
                out.confidence[i] = confidence = self._manifest.calibration.confidence(score)
                ready.decided(confidence)
            else:
                out.reason[i] = reasons.code(NO_NUMBER)
                self._answers.clear()
            out.latency_us[i, 1] = (self._clock() - prepared) / 1000
        return out, reasons.texts(self._progress())

    def warm(self, times: np.ndarray, values: np.ndarray, quality: np.ndarray) -> None:
        """Add rows as `feed` does, for the windows and the learning only.

        The model runs only if it has a `reference`, because its decisions keep rows out of the reference.
        """
        if self._columns is not None:
            self.feed(times, values, quality)
            return
        values, faults, faulty = _sound(values, quality)
        for i, at in enumerate(times.tolist()):
            self._take(at, values[i], faults[i] if faulty[i] else None, None)

    def _explained(self, features: np.ndarray, out: ResultColumns, i: int, faults: np.ndarray) -> float:
        """The score of row `i`, whose levels and relations are set: NaN for a faulty channel, which must not speak."""
        assert out.levels is not None and out.relations is not None
        answer = cast(ExplainingEngine, self._engine).explain(features)
        if not np.isfinite(answer).all():
            return math.nan
        out.levels[i], out.relations[i] = levels, relations = np.where(faults != 0, np.nan, answer[1:].reshape(2, -1))
        out.deviations[i] = np.clip(np.where(np.abs(levels) >= np.abs(relations), levels, relations), -6e4, 6e4)
        return float(answer[0])

    @property
    def holds(self) -> bool:
        """Whether the latest decision keeps rows out of the model's reference."""
        return isinstance(self._window, ContrastWindow) and self._window.holds

    @property
    def learned(self) -> tuple[int, int]:
        """The number of good rows learned so far, and the number required."""
        required = self._manifest.scaling.rows
        return self._learner.count if self._learner else required, required

    def _progress(self) -> str:
        return "learning {}/{}".format(*self.learned)

    def _begin(self, baseline: Baseline | None) -> None:
        self._last = None
        self._running = _Running(self._manifest.stopped, self._manifest.names)
        self._pace = _Pace(self._manifest.interval_s, self._manifest.name)
        self._after_gap = False
        self._answers: deque[float] = deque(maxlen=self._manifest.smooth_rows)
        self._window: Window | ContrastWindow | None = None
        self._columns = None if self._manifest.reference is None else DerivedColumns(self._manifest)
        self._imputation = Imputation(self._manifest) if self._manifest.imputation else None
        self._learner: BaselineLearner | None = None
        self.baseline: Baseline | None = None
        if baseline is None and self._manifest.scaling.kind == "fixed":
            baseline = Baseline.fixed(self._manifest)
        if baseline is None:
            self._learner = BaselineLearner(self._manifest)
        else:
            self._settle_on(baseline)

    def _settle_on(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self._mean, self._std = np.array(baseline.mean), np.array(baseline.std)
        reference = self._manifest.reference is not None
        self._window = ContrastWindow(self._manifest) if reference else Window(self._manifest, np.array(baseline.spread) / self._std)

    def _take(
        self, at: int, row: np.ndarray, faults: np.ndarray | None, columns: np.ndarray | None
    ) -> tuple[str, Window | ContrastWindow | None]:
        """Add one row; returns the reason for no decision, or the window whose features are the model's input.

        Args:
            columns: the row's columns without lags, for a model with a reference.
        """
        if faults is not None and (faults == AHEAD).any():
            return AHEAD_OF_CLOCK, None
        if (self._last is not None and at <= self._last) or (faults is not None and (faults == BACKWARDS).any()):
            return NOT_LATER, None
        if self._last is not None and at - self._last > self._longest_gap:
            self._restart(after_gap=True, keep=at - self._last <= self._longest_view)
        paced = self._last is None or self._pace.keeps(at - self._last)
        self._last = at
        if not paced:
            self._restart(after_gap=False)
            return self._pace.fault, None
        halt = self._running.halt(at, row, faults)
        if halt is not None:
            if self._running.stopped:
                self._restart(after_gap=False)
            return halt, None
        if self._learner is not None:
            return self._learn(at, row, faults), None
        window = self._push(at, row, faults, columns)
        fault = window.fault()
        if fault is not None:
            return self._sensor(*fault), None
        if not window.ready(self._manifest.min_rows, self._after):
            return AFTER_GAP if self._after_gap else FILLING, None
        self._after_gap = False
        return "", window

    def _restart(self, after_gap: bool, keep: bool = False) -> None:
        self._after_gap = after_gap
        if self._window is not None and keep:
            self._window.interrupt()
        elif self._window is not None and self._window.start is not None:
            self._window.restart()
        if self._learner is not None:
            self._learner.interrupt()

    def _push(self, at: int, row: np.ndarray, faults: np.ndarray | None, columns: np.ndarray | None = None) -> Window | ContrastWindow:
        assert self._window is not None
        if self._columns is not None and columns is not None:
            if self._imputation is not None:
                self._imputation.hold(columns, cast(ContrastWindow, self._window).reference)
            self._columns.append_lags(columns)
            if self._imputation is not None and faults is not None:
                self._imputation.fill(columns, cast(ContrastWindow, self._window).reference)
                self._columns.complete_lags(columns)
            self._window.push(at, columns, faults)
        else:
            self._window.push(at, ((row - self._mean) / self._std).astype(np.float32), faults)
        return self._window

    def _learn(self, at: int, row: np.ndarray, faults: np.ndarray | None) -> str:
        assert self._learner is not None
        self._learner.add(at, row, faults)
        if self._learner.done:
            recent = self._learner.recent
            self._settle_on(self._learner.fit())
            self._learner = None
            for earlier in recent:
                self._push(*earlier)
        if faults is not None:
            channel = int(np.flatnonzero(faults)[0])
            return self._sensor(channel, int(faults[channel]))
        return LEARNING

    def _sensor(self, channel: int, code: int) -> str:
        name = QUALITY_NAMES[code] if code < len(QUALITY_NAMES) else f"quality {code}"
        return f"sensor: {self._manifest.names[channel]} {name}"


def _sound(values: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values within bounds; the fault of each, (n, c); and whether a row has any, (n,)."""
    # A NaN without a flag is as faulty as one with it. A row after a gap is good: the times show the gap.
    faults = np.where(quality == GAP, np.uint8(GOOD), quality)
    faults = np.where(np.isfinite(values) | (faults != GOOD), faults, np.uint8(MISSING))
    return np.clip(values, -MAX_READING, MAX_READING), faults, np.any(faults, axis=1)


def same_windows(one: Manifest, other: Manifest) -> bool:
    """Whether both models keep the same state of an asset."""
    return all(
        getattr(one, key) == getattr(other, key)
        for key in (
            "channels",
            "interval_s",
            "longest_gap_s",
            "views",
            "min_rows",
            "clip",
            "scaling",
            "stopped",
            "columns",
            "reference",
            "context",
            "imputation",
        )
    )


class _Pace:
    """Checks the interval of the rows.

    Attributes:
        model: its name, for people.
        fault: the fault, or empty.
    """

    def __init__(self, interval_s: float, model: str) -> None:
        self._expected_s, self.model = interval_s, model
        self._passed: list[int] = []
        self.fault = ""

    def keeps(self, passed: int) -> bool:
        """Add the time between two rows, ns."""
        self._passed.append(passed)
        if len(self._passed) == PACE_ROWS:
            measured_s = sorted(self._passed)[PACE_ROWS // 2] / 1e9
            self._passed.clear()
            fits = self._expected_s / 2 < measured_s < self._expected_s * 2
            self.fault = "" if fits else f"interval: one row per {measured_s:g} s, expected {self._expected_s:g} s for model {self.model}"
        return not self.fault


class _Running:
    """Whether the machine runs, by the manifest's rule."""

    def __init__(self, rule: Stopped | None, names: tuple[str, ...]) -> None:
        self._rule = rule
        self._channel = names.index(rule.channel) if rule else 0
        self._below = 0
        self._settled_at: int | None = None
        self.stopped = False

    def begin_epoch(self) -> None:
        """Forget the settling time; whether the machine runs does not change."""
        self._settled_at = None

    def halt(self, at: int, row: np.ndarray, faults: np.ndarray | None) -> str | None:
        """The reason why the machine is not running in this row, or None."""
        rule = self._rule
        if rule is None:
            return None
        if faults is None or not faults[self._channel]:
            if row[self._channel] < rule.below:
                self._below += 1
                self.stopped = self.stopped or self._below >= rule.for_rows
                return STOPPED
            self._below = 0
            if self.stopped:
                self.stopped, self._settled_at = False, at + round(rule.settle_s * 1e9)
        if self.stopped:
            return STOPPED
        if self._settled_at is not None and at < self._settled_at:
            return SETTLING
        self._settled_at = None
        return None
