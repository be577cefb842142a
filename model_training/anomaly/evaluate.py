"""Evaluate a bundle as it runs on a device: through the scorer and the alarm policy, row by row.

`python -m model_training.anomaly.evaluate --from DIR` prints the verdicts and alarms for each recording and for simulated pumps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, CLEARED, AlarmPolicy, PolicyOptions
from edgeml.model.bundle import Bundle
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer, ScoringEngine
from gglocal.cli.arguments import whole
from model_training.anomaly.rig_recordings import (
    BASELINE_ROWS,
    NORMAL_RECORDING,
    NORMAL_TRAINING_ROWS,
    Fault,
    MaintenanceStop,
    load_recordings,
    simulate,
)
from model_training.datasets import Recording
from model_training.evaluation import metrics

SHIPPED = Path(__file__).parents[1] / "bundles" / "pump_anomaly"


class PolicyResult(NamedTuple):
    """Result of the scorer and the policy for n rows.

    Attributes:
        confidence: (n,), NaN for no decision.
        raised, cleared: rows at which an alarm became active, and at which an active alarm cleared.
    """

    confidence: np.ndarray
    raised: list[int]
    cleared: list[int]


def run_policy(
    bundle: Bundle, engine: ScoringEngine, times: np.ndarray, values: np.ndarray, options: PolicyOptions | None = None
) -> PolicyResult:
    """Run rows through scorer and policy; the quality of all values counts as good.

    Args:
        options: options of the policy; None: those of the manifest.
    """
    result, _ = AssetScorer(bundle, engine).feed(times, values, np.zeros(values.shape, np.uint8))
    policy = AlarmPolicy(options or effective_policy(bundle.manifest), "asset", bundle.manifest.name)
    raised, cleared = [], []
    for row, (at, confidence) in enumerate(zip(times.tolist(), result.confidence.tolist(), strict=True)):
        for change in policy.evaluate(at, confidence):
            if change.alarm.state == ACTIVE:
                raised.append(row)
            elif change.alarm.state == CLEARED and change.alarm.raised_at is not None:
                cleared.append(row)
    return PolicyResult(result.confidence, raised, cleared)


def count_rows(bundle: Bundle, outcome: PolicyResult, recording: Recording) -> metrics.ConfusionMatrix:
    """Count verdicts of the rows after the baseline; a missing decision counts as a negative verdict."""
    assert recording.anomaly is not None
    verdict = outcome.confidence >= bundle.manifest.verdict_level
    return metrics.confusion_matrix(verdict[BASELINE_ROWS:], recording.anomaly[BASELINE_ROWS:])


def _text(counts: metrics.ConfusionMatrix) -> str:
    rates = 100 * counts.false_alarm_rate, 100 * counts.missed_alarm_rate
    return f"F1 {counts.f1:.3f}, false alarms {rates[0]:.1f} %, missed {rates[1]:.1f} %"


def report_recordings(
    bundle: Bundle, engine: ScoringEngine, recordings: Sequence[Recording], options: PolicyOptions | None = None
) -> metrics.ConfusionMatrix:
    """Print a line for each recording, and the pooled figures."""
    counts: list[metrics.ConfusionMatrix] = []
    within_90_s = no_other = 0
    for recording in recordings:
        if recording.anomaly is None:
            continue
        outcome = run_policy(bundle, engine, recording.times, recording.values, options)
        counts.append(count_rows(bundle, outcome, recording))
        onset = int(np.flatnonzero(recording.anomaly)[0])
        delays = [round((int(recording.times[row]) - int(recording.times[onset])) / 1e9) for row in outcome.raised]
        first = next((d for d in delays if d >= 0), None)
        early = sum(d < 0 for d in delays)
        within_90_s += first is not None and first <= 90
        no_other += early == 0 and len(delays) == 1 and 0 <= delays[0] <= 90
        print(
            f"{recording.name:16} {_text(counts[-1])}; alarms {len(delays)}, before the onset {early}, "
            f"first after it {'-' if first is None else f'{first} s'}"
        )
    pooled = metrics.pooled(counts)
    print(f"pooled over {len(counts)} recordings: {_text(pooled)}; alarm within 90 s: {within_90_s}; that and no other alarm: {no_other}")
    for recording in recordings:
        if recording.name == NORMAL_RECORDING:
            rows = slice(NORMAL_TRAINING_ROWS, None)
            outcome = run_policy(bundle, engine, recording.times[rows], recording.values[rows], options)
            share = np.mean(outcome.confidence[BASELINE_ROWS:] >= bundle.manifest.verdict_level)
            print(
                f"{NORMAL_RECORDING} from row {NORMAL_TRAINING_ROWS}: {100 * share:.1f} % of rows alarm, alarms "
                f"raised {len(outcome.raised)}"
            )
    return pooled


SCENARIOS: dict[str, tuple[int, tuple[Fault, ...], tuple[MaintenanceStop, ...], int]] = {
    # name: rows, faults, maintenance stops, expected alarms
    "healthy, 2 hours": (7200, (), (), 0),
    "healthy, stopped 60 s and started": (2400, (), (MaintenanceStop(1000, 60),), 0),
    "healthy, stopped 600 s and started": (3000, (), (MaintenanceStop(1000, 600),), 0),
    "healthy, stopped and started 4 times": (3600, (), tuple(MaintenanceStop(at, 30) for at in (700, 1000, 1300, 2000)), 0),
    "valve, never stopped": (2400, (Fault("valve"),), (), 1),
    "valve, ramp of 120 s, stopped after 120 s, repaired": (2400, (Fault("valve"),), (MaintenanceStop(1020, 40),), 1),
    "valve at row 460, repaired": (1800, (Fault("valve", start_s=460),), (MaintenanceStop(580, 40),), 1),
    "valve, slow, weak": (2400, (Fault("valve", ramp_s=300, severity=0.5),), (), 1),
    "imbalance": (1800, (Fault("imbalance"),), (), 1),
    "imbalance, repaired": (2400, (Fault("imbalance"),), (MaintenanceStop(1020, 40),), 1),
    "cavitation": (1800, (Fault("cavitation"),), (), 1),
    "cavitation, repaired": (2400, (Fault("cavitation"),), (MaintenanceStop(1020, 40),), 1),
    "sensor gap": (2400, (Fault("sensor-gap"),), (), 0),
}


def report_pumps(bundle: Bundle, engine: ScoringEngine, seeds: Sequence[int], options: PolicyOptions | None = None) -> int:
    """Print a line for each scenario. Returns the number of runs with unexpected alarms."""
    failures = 0
    for name, (rows, faults, stops, expected) in SCENARIOS.items():
        failed_seeds, delays, clears = [], [], []
        for seed in seeds:
            run = simulate(seed, rows, faults, stops)
            outcome = run_policy(bundle, engine, run.times, run.values, options)
            repaired = [v.at + v.rows for v in stops if faults]
            passed = len(outcome.raised) == expected
            if faults and expected:
                passed = passed and outcome.raised[0] >= faults[0].start_s
                delays += [row - faults[0].start_s for row in outcome.raised[:1]]
                if repaired:
                    passed = passed and len(outcome.cleared) == 1
                    clears += [row - repaired[0] for row in outcome.cleared[:1]]
            if not passed:
                failed_seeds.append(seed)
        failures += len(failed_seeds)
        text = f"{name:52} expected {expected} alarm{'' if expected == 1 else 's'}: {len(seeds) - len(failed_seeds)}/{len(seeds)} seeds"
        text += f", raised after {min(delays):.0f} to {max(delays):.0f} s" if delays else ""
        text += f", cleared {min(clears):.0f} to {max(clears):.0f} s after the start" if clears else ""
        print(text + (f", wrong {failed_seeds}" if failed_seeds else ""))
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate a bundle on recordings and on simulated pumps.")
    parser.add_argument("--bundle", type=Path, default=SHIPPED)
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the recordings (skab/…)")
    parser.add_argument(
        "--seeds", type=whole(1, 100_000), default=20, help="number of simulated pumps; they have the seeds from 1 on (default: 20)"
    )
    args = parser.parse_args()
    bundle = Bundle.load(args.bundle)
    engine = open_engine(bundle)
    print(f"{bundle.manifest.name} {bundle.manifest.version}, {bundle.digest}, {len(bundle.model)} bytes, {engine.kind}")
    if args.folder:
        report_recordings(bundle, engine, load_recordings(args.folder).recordings)
    if args.seeds:
        report_pumps(bundle, engine, range(1, args.seeds + 1))


if __name__ == "__main__":
    main()
