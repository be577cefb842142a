"""The evaluation on public data sets with a model of contrasts that is no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training.evaluation import history_run
from model_training.evaluation.bundle_scoring import bundle_detector
from model_training.evaluation.history_run import EvaluatedHistory
from model_training.evaluation.recordings import Recording
from model_training.history import Spec, read
from model_training.report import history as report

from edgeml.alarms.alarm_policy import ACTIVE, AlarmPolicy
from edgeml.model.bundle import Bundle
from edgeml.model.explanation import explanation
from edgeml.model.manifest import Channel, Scaling
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.scorer import AssetScorer
from sensor_ingestion.sources.base import Channel as Source
from tests.edgeml.contrast import Contrasts, contrast
from tests.model_training.evaluation.kit import START


class Network(Contrasts):
    kind = "none"


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_run, "open_engine", lambda bundle: Network(bundle.manifest, view=1))


def model(history: Any, **changes: Any) -> Bundle:
    """A model of contrasts whose scaling is that of the first recording."""
    values = history.recordings[0].values
    channels = tuple(Channel(name=each.name, unit=each.unit) for each in history.channels)
    keys: dict[str, Any] = {
        "channels": channels,
        "columns": (),
        "context": (),
        "relations": tuple(((at + 1) % len(channels),) for at in range(len(channels))) if len(channels) > 1 else ((),),
        "scaling": Scaling(kind="fixed", mean=tuple(values.mean(0).tolist()), std=tuple(np.maximum(values.std(0), 1e-3).tolist())),
        "interval_s": history.interval_s,
        "longest_gap_s": 5 * history.interval_s,
        "policy": {"votes": 1, "of": 1, "hold_s": 0, "clear_hold_s": history.interval_s, "raise_at": 0.3, "clear_at": 0.1},
    }
    return contrast(**(keys | changes))


def evaluate(bundle: Bundle, paths: Sequence[Path], spec: Spec) -> tuple[dict[str, Any], EvaluatedHistory]:
    result, evaluated = history_run.evaluate([bundle], paths, spec, lambda text: None)
    return result["bundles"][0]["figures"], evaluated[0]


def test_nab_windows_are_evaluated(shared: Path) -> None:
    file, windows = shared / "data" / "nab" / "nyc_taxi.csv", shared / "data" / "nab" / "windows.json"
    if not windows.is_file():
        pytest.skip(f"no data set {windows.parent}")
    spec = Spec(events=str(windows))
    found, evaluated = evaluate(model(read([file], spec)), [file], spec)
    assert found["rows"] == 10_320 and found["events"] == 5 and 0 < found["found"] <= 5
    assert found["normal_rows"] < found["counted"] < found["rows"] and found["false_alarms_per_week"][0] > 0
    assert sum(found["undecided_reasons"].values()) == found["rows"] - found["decided"]
    assert np.isnan(found["f1"]) and evaluated.data.titles == (str(file),)


def test_tep_faults_are_evaluated(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    folder = shared / "data" / "tep"
    if not folder.is_dir():
        pytest.skip(f"no data set {folder}")
    monkeypatch.setattr(report, "DRAWN", 1)
    files = [folder / "normal_2.csv", folder / "fault_01.csv"]
    result, evaluated = history_run.evaluate([model(read(files[:1], Spec()))], files, Spec(), lambda text: None)
    found = result["bundles"][0]["figures"]
    assert (found["events"], found["found"]) == (1, 1) and found["f1"] > 0
    card = report.write(tmp_path, result, evaluated[0]).read_text(encoding="utf-8")
    assert " for xm" in card.split("## Alarms")[1]  # a relation that broke, in the words of the alert
    assert len(list(tmp_path.glob("recording-*.png"))) == 1


def recording(n: int = 400) -> Recording:
    rng = np.random.default_rng(0)
    values = (np.array([5.0, 30.0, 2.0, 50.0]) + rng.normal(0, 1, (n, 4)).clip(-2, 2) * [0.5, 2, 0.25, 10]).astype(np.float32)
    values[300:, 1] += 16
    channels = tuple(Source(name, "", stuck_after_s=0.0) for name in ("current", "flow", "pressure", "setpoint"))
    return Recording("", "a", channels, np.arange(n), (), START.astype(np.int64) * 10**9 + np.arange(n) * 10**9, values)


def test_detector_equals_scorer_and_policy_of_the_components() -> None:
    """A model that explains: the policy gets no distances, and each alarm has the sentence of its row."""
    bundle, given = contrast(policy={"hold_s": 2.0}), recording()
    found = bundle_detector(bundle, Contrasts())(given)
    columns, _ = AssetScorer(bundle, Contrasts()).feed(given.times, given.values, given.quality())
    policy = AlarmPolicy(effective_policy(bundle.manifest), "a", "contrast")
    confidences = np.where(columns.reason == 0, columns.confidence, np.nan)
    changes = policy.evaluate_block("s", given.times.tolist(), confidences.tolist()).changes
    assert found.raised == tuple(change.row for change in changes if change.alarm.state == ACTIVE) and found.raised
    assert columns.levels is not None and columns.relations is not None
    assert found.explained == tuple(
        explanation(bundle.manifest, columns.levels[row].tolist(), columns.relations[row].tolist()) for row in found.raised
    )
    assert found.explained[0].startswith("flow is high") and 300 <= found.raised[0] < 310
