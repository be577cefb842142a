"""The files of a run: a failed run does not overwrite the report of the last successful one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from edgeml_cli.demo import main
from edgeml_cli.demo.recorder import Recorder
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.scenario import simulated
from edgeml_cli.demo.statistics import Statistics
from tests.edgeml_cli.demo.samples import START


def finish(place: Path, problems: list[str]) -> int:
    arguments = argparse.Namespace(out=place, recording=None, bundle=None, fault="valve", seed=1, speed=None)
    monitor = RunMonitor(Recorder(), Statistics(), lambda event: None)
    scenario = simulated("valve", 1, START, "2026-01-01T00:00:00Z")
    return main._finish(arguments, scenario, monitor, (0.3, 0.9), problems, 1, 2.0)


def test_failed_run_keeps_the_last_good_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finish(tmp_path, []) == 0
    good = (tmp_path / "report.html").read_bytes()
    capsys.readouterr()
    assert finish(tmp_path, ["the nucleus stopped"]) == 1
    assert (tmp_path / "report.html").read_bytes() == good
    assert "the nucleus stopped" in (tmp_path / "report-failed.html").read_text()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["report"].endswith("report-failed.html")
    assert finish(tmp_path, []) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]


def test_rendering_failure_keeps_the_previous_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("before")
    monkeypatch.setattr(main.html_report, "render", lambda run: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finish(tmp_path, [])
    assert (tmp_path / "report.html").read_text() == "before"
