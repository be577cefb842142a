"""The demo as a whole, started as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeml.timestamps import from_iso
from tests.conftest import REPOSITORY
from tests.edgeml_cli.demo import own_model
from tests.patience import PATIENCE_S

FAST = ("--speed", "300")


def demo(place: Path, *arguments: str) -> tuple[int, str, str, dict[str, Any]]:
    command = [REPOSITORY / "scripts" / "demo", "--headless", "--out", place, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    lines = done.stdout.splitlines()
    return done.returncode, done.stdout, done.stderr, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def left_running(place: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(place) in command:
                found.append(command)
    return found


def test_demo_shows_a_whole_episode(place: Path) -> None:
    code, out, err, counts = demo(place, *FAST)
    assert code == 0, err
    assert counts["rows"] == counts["results"] == 1200
    assert counts["windows"] + counts["no_decision"] == 1200 and counts["no_decision_reasons"]["learning"] == 400
    assert counts["lost_messages"] == 0
    [alarm], [stop] = counts["alarms"], counts["commands"]
    assert from_iso(alarm["raised_at"]) < from_iso(alarm["cleared_at"]) and alarm["peak_confidence"] > 0.9
    assert stop["asset"] == "pump-1" and from_iso(stop["acknowledged_at"]) >= from_iso(alarm["raised_at"])
    order = [out.index(words) for words in ("ALARM ACTIVE", "stop executed", "restore executed", "start executed", "alarm cleared")]
    assert order == sorted(order)
    assert "<svg" in (place / "report.html").read_text()
    assert "Event time runs 300 times faster than real time" in out and "The first run" not in out
    assert "  commands sent by AlertDispatcher: stop (executed)" in out.splitlines()
    assert left_running(place) == []


@pytest.mark.parametrize("fault", ["none", "sensor-gap"])
def test_healthy_machine_raises_no_alarm(place: Path, fault: str) -> None:
    code, _, err, counts = demo(place, "--fault", fault, *FAST)
    assert code == 0, err
    assert counts["alarms"] == counts["commands"] == [] and counts["lost_messages"] == 0
    assert counts["rows"] == counts["results"] > 1000 - 1


def test_demo_of_a_real_recording(place: Path, shared: Path) -> None:
    path = shared / "data" / "skab" / "valve1" / "0.csv"
    code, out, err, counts = demo(place, "--recording", str(path))
    assert code == 0, err
    assert counts["rows"] == counts["results"] == 1147 and counts["lost_messages"] == 0
    [alarm] = counts["alarms"]
    late_s = (from_iso(alarm["raised_at"]) - from_iso("2020-03-09T10:24:33Z")) / 1e9
    assert 0 <= late_s <= 90
    assert [command["acknowledged_at"] for command in counts["commands"]] == [None]
    assert "did not acknowledge the stop command within" in out


def test_demo_of_a_model_of_ones_own(place: Path, tmp_path: Path) -> None:
    bundle, data = own_model.bundle(tmp_path / "bundle"), own_model.recording(tmp_path / "own.csv")
    code, out, err, counts = demo(place, "--bundle", str(bundle), "--data", str(data))
    assert code == 0, err
    assert counts["rows"] == counts["results"] == own_model.ROWS and counts["lost_messages"] == 0
    assert set(counts["no_decision_reasons"]) == {"window filling"} and counts["windows"] > own_model.ROWS - 60
    [alarm] = counts["alarms"]
    onset = from_iso("2026-03-02T08:00:00Z") + own_model.ONSET * 60 * 10**9
    assert 120 <= (from_iso(alarm["raised_at"]) - onset) / 1e9 <= 300, "the policy of the bundle holds alarms for 120 s of event time"
    assert alarm["asset"] == "my-machine" and "flow" in alarm["why"] and counts["commands"] == []
    assert "  alarm on my-machine: raised at 03-03 04:0" in out and "after the onset of the fault" in out
    report = (place / "report.html").read_text()
    assert "my_machine 1.0.0 on own.csv" in report and f"--bundle {bundle}" in report
    assert left_running(place) == []


def test_recording_without_a_channel_is_rejected_in_one_sentence(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("datetime;Current\n2020-03-09 10:00:00;1.0\n")
    code, _, err, counts = demo(place, "--recording", str(path))
    assert code == 2
    [sentence] = [line for line in err.splitlines() if line.startswith("edgeml demo: ")]
    assert str(path) in sentence and "'Volume Flow RateRMS'" in sentence
    assert counts["rows"] == 0 and not counts["as_expected"]


def test_unknown_fault_and_missing_file_exit_with_2(place: Path) -> None:
    code, _, err, _ = demo(place, "--fault", "earthquake")
    assert code == 2 and "sensor-gap" in err
    code, _, err, _ = demo(place, "--recording", str(place / "none.csv"))
    assert code == 2 and "none.csv" in err


def test_interrupted_demo_leaves_no_process(place: Path) -> None:
    command = [REPOSITORY / "scripts" / "demo", "--headless", "--out", place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if " | alarm " in line:  # a line of readings: all components are running
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "interrupted" in err
    assert left_running(place) == []
