"""From a recording to verdicts and alarms, with the scorer of Inference and the policy of AlertDispatcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, ALARMED, AlarmPolicy, Change, PolicyOptions
from edgeml.alarms.startup_recovery import is_stopped
from edgeml.messages import GOOD, MISSING, ResultColumns
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.explanation import explanation
from edgeml.model.manifest import Manifest
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer, ScoringEngine
from model_training.evaluation.recordings import Recording


@dataclass(frozen=True)
class DetectorResult:
    """Result of a detector for the n rows of a recording.

    Attributes:
        confidence: (n,) float32, NaN without a decision.
        verdict: (n,) bool; False without a decision.
        alarm: (n,) bool, True if an alarm is active after the row.
        raised: rows at which an alarm became active.
        reasons: number of rows without a decision, by reason.
        score: (n,) float32, output of the model; NaN without a decision.
        deviations: (n, c) of each channel, as in the results of Inference; None for a baseline method.
        explained: the model's view of each raised alarm, in words; empty if it does not explain.
    """

    confidence: np.ndarray
    verdict: np.ndarray
    alarm: np.ndarray
    raised: tuple[int, ...]
    reasons: dict[str, int]
    score: np.ndarray
    deviations: np.ndarray | None = None
    explained: tuple[str, ...] = ()

    @property
    def undecided(self) -> np.ndarray:
        return np.isnan(self.confidence)


Detector = Callable[[Recording], DetectorResult]
"""A detector evaluates a recording: a bundle, or a baseline method."""


def bundle_detector(
    bundle: Bundle, engine: ScoringEngine | None = None, level: float | None = None, options: PolicyOptions | None = None
) -> Detector:
    """Create a detector from a bundle.

    Args:
        level: confidence from which the verdict is positive; None: the manifest's verdict level.
        options: options of the policy; None: those of the manifest over AlertDispatcher's defaults.

    Raises:
        BundleError: by the detector, if a recording has other channels.
    """
    scoring_engine = open_engine(bundle) if engine is None else engine
    threshold = bundle.manifest.verdict_level if level is None else level
    options = effective_policy(bundle.manifest) if options is None else options

    def detect(recording: Recording) -> DetectorResult:
        names = tuple(channel.name for channel in recording.channels)
        # A recording without units, as of a table whose headings have none, fits any unit.
        stated = {channel.name: channel.unit for channel in bundle.manifest.channels}
        units = tuple(each.unit or stated.get(each.name, "") for each in recording.channels)
        order = match_channels(bundle, names, units)
        result, texts = AssetScorer(bundle, scoring_engine).feed(recording.times, recording.values[:, order], recording.quality()[:, order])
        confidence = np.where(result.reason == 0, result.confidence, np.float32(np.nan))
        counts = np.bincount(result.reason, minlength=len(texts) + 1)[1:]
        reasons = {text.split(" ")[0] if text.startswith("learning") else text: int(n) for text, n in zip(texts, counts, strict=True)}
        stopped_reasons = [False, *map(is_stopped, texts)]
        stopped = [stopped_reasons[reason] for reason in result.reason.tolist()]
        # As AlertDispatcher does: what a model explains is no distance from normal running that could approach it.
        distances = None if bundle.manifest.explains else result.deviations
        found = apply_policy(recording, confidence, threshold, bundle.manifest.name, reasons, result.score, options, distances, stopped)
        return replace(found, deviations=result.deviations, explained=_explained(bundle.manifest, result, found.raised))

    return detect


def _explained(manifest: Manifest, columns: ResultColumns, rows: Sequence[int]) -> tuple[str, ...]:
    """The model's view of each row, in words; nothing if it does not explain."""
    if columns.levels is None or columns.relations is None:
        return ()
    return tuple(explanation(manifest, columns.levels[row].tolist(), columns.relations[row].tolist()) for row in rows)


def apply_policy(
    recording: Recording,
    confidence: np.ndarray,
    level: float,
    model: str = "",
    reasons: dict[str, int] | None = None,
    score: np.ndarray | None = None,
    options: PolicyOptions | None = None,
    deviations: np.ndarray | None = None,
    stopped: list[bool] | None = None,
) -> DetectorResult:
    """Derive verdicts and alarms from confidences (n,) float32, NaN without a decision."""
    policy = AlarmPolicy(options or PolicyOptions(), recording.full_name, model)
    outcome = policy.evaluate_block("recording", recording.times.tolist(), confidence.tolist(), deviations, stopped)
    alarm, raised = alarm_rows(outcome.changes, len(recording))
    return DetectorResult(
        confidence,
        shortest_decimal(confidence) >= level,
        alarm,
        raised,
        reasons or {},
        confidence if score is None else score,
    )


def alarm_rows(changes: Sequence[Change], rows: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Whether an alarm is active after each row, (rows,) bool, and the rows at which one became active."""
    alarm = np.zeros(rows, bool)
    for change in changes:
        alarm[change.row :] = change.alarm.state in ALARMED
    return alarm, tuple(change.row for change in changes if change.alarm.state == ACTIVE)


def score_rows(scorer: AssetScorer, times: np.ndarray, values: np.ndarray) -> tuple[ResultColumns, np.ndarray]:
    """Feed the next rows, (n, c) float32 with NaN for missing; returns the results and the confidences, (n,), NaN without a decision."""
    result, _ = scorer.feed(times, values, np.where(np.isfinite(values), np.uint8(GOOD), np.uint8(MISSING)))
    return result, np.where(result.reason == 0, result.confidence, np.float32(np.nan))


def shortest_decimal(confidence: np.ndarray) -> np.ndarray:
    """Convert each float32 to float64 through its shortest decimal, as a reader of the predictions file does."""
    return np.array([float(str(value)) for value in confidence.astype(np.float32)])
