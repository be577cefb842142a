"""From a recording to verdicts and alarms: the scorer that Inference runs, the policy that AlertDispatcher runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, ALARMED, AlarmPolicy, PolicyOptions
from edgeml.alarms.startup_recovery import is_stopped
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer, ScoringEngine
from model_training.evaluation.recordings import Recording


@dataclass(frozen=True)
class Judged:
    """What became of the n rows of a recording.

    Attributes:
        confidence: (n,) float32, NaN for no decision.
        verdict: (n,) bool; no decision is no.
        alarm: (n,) bool, an alarm is active after the row.
        raised: rows at which an alarm went active.
        reasons: why there was no decision -> how many rows.
        score: (n,) float32, what the model answered; NaN for no decision.
    """

    confidence: np.ndarray
    verdict: np.ndarray
    alarm: np.ndarray
    raised: tuple[int, ...]
    reasons: dict[str, int]
    score: np.ndarray

    @property
    def undecided(self) -> np.ndarray:
        return np.isnan(self.confidence)


Judge = Callable[[Recording], Judged]
"""What judges a recording: a bundle, or something to compare it with."""


def judge_by(
    bundle: Bundle, engine: ScoringEngine | None = None, level: float | None = None, options: PolicyOptions | None = None
) -> Judge:
    """A bundle as a judge.

    Args:
        level: the confidence from which on a verdict is yes; None: the manifest's.
        options: of the policy; None: the dispatcher's defaults.

    Raises:
        BundleError: when it is called with a recording of other channels.
    """
    runs = open_engine(bundle) if engine is None else engine
    threshold = bundle.manifest.verdict_level if level is None else level

    def judge(recording: Recording) -> Judged:
        names = tuple(channel.name for channel in recording.channels)
        order = match_channels(bundle, names, tuple(channel.unit for channel in recording.channels))
        result, texts = AssetScorer(bundle, runs).feed(recording.times, recording.values[:, order], recording.quality()[:, order])
        confidence = np.where(result.reason == 0, result.confidence, np.float32(np.nan))
        counts = np.bincount(result.reason, minlength=len(texts) + 1)[1:]
        reasons = {text.split(" ")[0] if text.startswith("learning") else text: int(n) for text, n in zip(texts, counts, strict=True)}
        standing = [False, *map(is_stopped, texts)]
        stopped = [standing[reason] for reason in result.reason.tolist()]
        return decide(recording, confidence, threshold, bundle.manifest.name, reasons, result.score, options, result.deviations, stopped)

    return judge


def decide(
    recording: Recording,
    confidence: np.ndarray,
    level: float,
    model: str = "",
    reasons: dict[str, int] | None = None,
    score: np.ndarray | None = None,
    options: PolicyOptions | None = None,
    deviations: np.ndarray | None = None,
    stopped: list[bool] | None = None,
) -> Judged:
    """Verdicts and alarms from confidences: (n,) float32, NaN for no decision."""
    policy = AlarmPolicy(options or PolicyOptions(), recording.full_name, model)
    judged = policy.evaluate_block("recording", recording.times.tolist(), confidence.tolist(), deviations, stopped)
    alarm = np.zeros(len(recording), bool)
    raised = []
    for change in judged.changes:
        alarm[change.row :] = change.alarm.state in ALARMED
        if change.alarm.state == ACTIVE:
            raised.append(change.row)
    return Judged(
        confidence,
        as_written(confidence) >= level,
        alarm,
        tuple(raised),
        reasons or {},
        confidence if score is None else score,
    )


def as_written(confidence: np.ndarray) -> np.ndarray:
    """float64 of the shortest decimals that stand for each float32: what a reader of the predictions compares with a level."""
    return np.array([float(str(value)) for value in confidence.astype(np.float32)])
