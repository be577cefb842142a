"""Judges a bundle as it runs on a device: through the scorer and the alarm policy, row by row.

`python -m model_training.anomaly.evaluate --from DIR` prints, for each recording and for simulated pumps, what the alarms did.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, CLEARED, AlarmPolicy, PolicyOptions
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer, ScoringEngine
from gglocal.cli.arguments import whole
from model_training.anomaly.rig_recordings import (
    BASELINE_ROWS,
    FREE,
    FREE_TRAINING_ROWS,
    Fault,
    Recording,
    Visit,
    load_recordings,
    simulate,
)

SHIPPED = Path(__file__).parents[1] / "bundles" / "pump_anomaly"


class Judged(NamedTuple):
    """What became of a stretch of rows.

    Attributes:
        confidence: (n,), NaN for no decision.
        raised, cleared: rows at which an alarm was raised or, having been raised, cleared.
    """

    confidence: np.ndarray
    raised: list[int]
    cleared: list[int]


def judge(bundle: Bundle, engine: ScoringEngine, times: np.ndarray, values: np.ndarray, options: PolicyOptions | None = None) -> Judged:
    """Run rows, all good, through scorer and policy."""
    result, _ = AssetScorer(bundle, engine).feed(times, values, np.zeros(values.shape, np.uint8))
    policy = AlarmPolicy(options or PolicyOptions(), "asset", bundle.manifest.name)
    raised, cleared = [], []
    for row, (at, confidence) in enumerate(zip(times.tolist(), result.confidence.tolist(), strict=True)):
        for change in policy.evaluate(at, confidence):
            if change.alarm.state == ACTIVE:
                raised.append(row)
            elif change.alarm.state == CLEARED and change.alarm.raised_at is not None:
                cleared.append(row)
    return Judged(result.confidence, raised, cleared)


class Count(NamedTuple):
    """Rows by verdict and mark."""

    tp: int
    fp: int
    fn: int
    tn: int

    def text(self) -> str:
        tp, fp, fn, tn = self
        f1 = 2 * tp / max(1, 2 * tp + fp + fn)
        return f"F1 {f1:.3f}, false alarms {100 * fp / max(1, fp + tn):.1f} %, missed {100 * fn / max(1, fn + tp):.1f} %"


def count(bundle: Bundle, judged: Judged, recording: Recording) -> Count:
    """Verdicts on the rows after the baseline; no decision is no alarm."""
    assert recording.anomaly is not None
    verdict = (judged.confidence >= bundle.manifest.verdict_level)[BASELINE_ROWS:]
    mark = recording.anomaly[BASELINE_ROWS:]
    return Count(*(int(np.sum(a & b)) for a, b in ((verdict, mark), (verdict, ~mark), (~verdict, mark), (~verdict, ~mark))))


def report_recordings(
    bundle: Bundle, engine: ScoringEngine, recordings: Sequence[Recording], options: PolicyOptions | None = None
) -> Count:
    """Print a line a recording and the pooled figures."""
    total = np.zeros(4, int)
    prompt = clean = 0
    for recording in recordings:
        if recording.anomaly is None:
            continue
        judged = judge(bundle, engine, recording.times, recording.values, options)
        counted = count(bundle, judged, recording)
        total += counted
        onset = int(np.flatnonzero(recording.anomaly)[0])
        delays = [round((int(recording.times[row]) - int(recording.times[onset])) / 1e9) for row in judged.raised]
        first = next((d for d in delays if d >= 0), None)
        early = sum(d < 0 for d in delays)
        prompt += first is not None and first <= 90
        clean += early == 0 and len(delays) == 1 and 0 <= delays[0] <= 90
        print(
            f"{recording.name:16} {counted.text()}; alarms {len(delays)}, before the onset {early}, "
            f"first after it {'-' if first is None else f'{first} s'}"
        )
    pooled = Count(*total.tolist())
    marked = sum(recording.anomaly is not None for recording in recordings)
    print(f"pooled over {marked} recordings: {pooled.text()}; alarm within 90 s: {prompt}; that and no other alarm: {clean}")
    for recording in recordings:
        if recording.name == FREE:
            rows = slice(FREE_TRAINING_ROWS, None)
            judged = judge(bundle, engine, recording.times[rows], recording.values[rows], options)
            share = np.mean(judged.confidence[BASELINE_ROWS:] >= bundle.manifest.verdict_level)
            print(f"{FREE} from row {FREE_TRAINING_ROWS}: {100 * share:.1f} % of rows alarm, alarms raised {len(judged.raised)}")
    return pooled


SCENARIOS: dict[str, tuple[int, tuple[Fault, ...], tuple[Visit, ...], int]] = {
    # name: rows, faults, visits, alarms wanted
    "healthy, 2 hours": (7200, (), (), 0),
    "healthy, stopped 60 s and started": (2400, (), (Visit(1000, 60),), 0),
    "healthy, stopped 600 s and started": (3000, (), (Visit(1000, 600),), 0),
    "healthy, stopped and started 4 times": (3600, (), tuple(Visit(at, 30) for at in (700, 1000, 1300, 2000)), 0),
    "valve, never stopped": (2400, (Fault("valve"),), (), 1),
    "valve, ramp of 120 s, stopped after 120 s, repaired": (2400, (Fault("valve"),), (Visit(1020, 40),), 1),
    "valve at row 460, repaired": (1800, (Fault("valve", start_s=460),), (Visit(580, 40),), 1),
    "valve, slow, weak": (2400, (Fault("valve", ramp_s=300, severity=0.5),), (), 1),
    "imbalance": (1800, (Fault("imbalance"),), (), 1),
    "imbalance, repaired": (2400, (Fault("imbalance"),), (Visit(1020, 40),), 1),
    "cavitation": (1800, (Fault("cavitation"),), (), 1),
    "cavitation, repaired": (2400, (Fault("cavitation"),), (Visit(1020, 40),), 1),
    "sensor gap": (2400, (Fault("sensor-gap"),), (), 0),
}


def report_pumps(bundle: Bundle, engine: ScoringEngine, seeds: Sequence[int], options: PolicyOptions | None = None) -> int:
    """Print a line a scenario; returns how many runs did not have the alarms that they should have."""
    wrong = 0
    for name, (rows, faults, visits, wanted) in SCENARIOS.items():
        amiss, delays, clears = [], [], []
        for seed in seeds:
            run = simulate(seed, rows, faults, visits)
            judged = judge(bundle, engine, run.times, run.values, options)
            repaired = [v.at + v.rows for v in visits if faults]
            good = len(judged.raised) == wanted
            if faults and wanted:
                good = good and judged.raised[0] >= faults[0].start_s
                delays += [row - faults[0].start_s for row in judged.raised[:1]]
                if repaired:
                    good = good and len(judged.cleared) == 1
                    clears += [row - repaired[0] for row in judged.cleared[:1]]
            if not good:
                amiss.append(seed)
        wrong += len(amiss)
        text = f"{name:52} wanted {wanted} alarm{'' if wanted == 1 else 's'}: {len(seeds) - len(amiss)}/{len(seeds)} seeds"
        text += f", raised after {min(delays):.0f} to {max(delays):.0f} s" if delays else ""
        text += f", cleared {min(clears):.0f} to {max(clears):.0f} s after the start" if clears else ""
        print(text + (f", wrong {amiss}" if amiss else ""))
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description="Judge a bundle on recordings and on simulated pumps.")
    parser.add_argument("--bundle", type=Path, default=SHIPPED)
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the recordings (skab/…)")
    parser.add_argument("--seeds", type=whole(1, 100_000), default=20, help="simulated pumps with the seeds 1 to this")
    given = parser.parse_args()
    bundle = Bundle.load(given.bundle)
    engine = open_engine(bundle)
    print(f"{bundle.manifest.name} {bundle.manifest.version}, {bundle.digest}, {len(bundle.model)} bytes, {engine.kind}")
    if given.folder:
        report_recordings(bundle, engine, load_recordings(given.folder))
    if given.seeds:
        report_pumps(bundle, engine, range(1, given.seeds + 1))


if __name__ == "__main__":
    main()
