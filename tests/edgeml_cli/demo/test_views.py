"""The live view fits its terminal; the text view shows the same information."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from edgeml.messages import SensorBatch, encode, topics
from edgeml.timestamps import SECOND
from edgeml_cli.demo.live_view import LiveView, frame, is_usable
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.text_view import TextView, clock, number
from tests.edgeml_cli.demo import samples

LEVELS = (0.3, 0.9)


@pytest.fixture
def monitor() -> RunMonitor:
    run = RunMonitor(Recorder(), Statistics(), lambda event: None)
    for message, sender in samples.episode()[:46]:
        run.handle("edgeml/any", encode(message), sender, 0.0)
    return run


def bare(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (60, 20), (200, 60)])
def test_frame_fits_the_terminal(monitor: RunMonitor, columns: int, lines: int) -> None:
    shown = frame("a run", LEVELS, monitor.recorder, monitor.stats, monitor.recorder.events, columns, lines)
    assert len(shown) == lines
    assert max(len(bare(line)) for line in shown) <= columns


def test_frame_shows_readings_result_and_alarm(monitor: RunMonitor) -> None:
    shown = "\n".join(bare(line) for line in frame("a run", LEVELS, monitor.recorder, monitor.stats, monitor.recorder.events, 80, 24))
    parts = ("pressure", "bar", "flow", "l/min", "confidence 0.", "raise at 0.90", " ACTIVE ", "stop command: executed", "ALARM ACTIVE")
    for words in parts:
        assert words in shown
    assert f"{monitor.stats.rows} rows" in shown


def test_frame_without_colours_has_no_escape_sequences(monitor: RunMonitor) -> None:
    shown = frame("a run", LEVELS, monitor.recorder, monitor.stats, monitor.recorder.events, 80, 24, colour=False)
    assert "\x1b" not in "".join(shown)


def test_frame_after_the_first_row() -> None:
    run = RunMonitor(Recorder(), Statistics(), lambda event: None)
    run.handle("edgeml/sensors", encode(samples.batch(0, [0])), None, 0.0)
    assert "no result yet" in "\n".join(frame("a run", LEVELS, run.recorder, run.stats, [], 80, 24))


def test_live_view_restores_the_terminal_and_prints_the_log(monitor: RunMonitor) -> None:
    out = io.StringIO()
    view = LiveView("a run", LEVELS, monitor.recorder, monitor.stats, out)
    for event in monitor.recorder.events:
        view.show_event(event)
    view.refresh(1.0)
    drawn = len(out.getvalue())
    view.refresh(1.01)
    assert len(out.getvalue()) == drawn  # not due yet
    view.close()
    assert out.getvalue().startswith("\x1b[?1049h")
    after = out.getvalue().split("\x1b[?1049l")[1]
    assert "ALARM ACTIVE" in after


def test_command_beside_an_alarm_was_sent_for_it(monitor: RunMonitor) -> None:
    assert [command.action for command in monitor.stats.commands.values()] == ["stop", "restore", "start"]
    shown = [bare(line) for line in frame("a run", LEVELS, monitor.recorder, monitor.stats, [], 80, 24)]
    assert any(line.startswith(" alarm  ACTIVE   stop command: executed") for line in shown)
    monitor.stats.add(samples.alert(5, "pending", 190, id="a2"))
    assert not any("command" in bare(line) for line in frame("a run", LEVELS, monitor.recorder, monitor.stats, [], 80, 24))


def test_log_printed_by_the_live_view_breaks_no_word(monitor: RunMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    view = LiveView("a run", LEVELS, monitor.recorder, monitor.stats, out)
    text = "deviations " * 20
    view.show_event(Event(samples.at(0), "info", text))
    view.close()
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split()[1:] == text.split()


def test_live_view_needs_a_terminal() -> None:
    assert not is_usable(io.StringIO())


def test_text_view_shows_readings_confidence_and_alarm_state(monitor: RunMonitor) -> None:
    out = io.StringIO()
    view = TextView(monitor.recorder, monitor.stats, out)
    view.refresh(0.0)
    view.refresh(0.1)
    [line] = out.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  pump-1: pressure \S+ bar, flow \S+ l/min \| confidence 0\.\d\d \| alarm active", line)
    view.show_event(monitor.recorder.events[0])
    assert out.getvalue().splitlines()[1] == f"{clock(samples.at(0))}  first reading of pump-1; channels: pressure, flow"


@pytest.mark.parametrize(("value", "text"), [(0.02659, "0.027"), (1.33, "1.33"), (-0.5, "-0.500"), (233.062, "233.1"), (float("nan"), "–")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def many_channels(rows: int, span_s: float) -> tuple[Recorder, Statistics]:
    """A run of 20 channels with a row every hour."""
    recorder, stats = Recorder(span_s=span_s), Statistics()
    monitor = RunMonitor(recorder, stats, lambda event: None)
    names = tuple(f"channel_{number}" for number in range(20))
    times = samples.START + np.arange(rows) * 3600 * SECOND
    batch = SensorBatch.of("unit-7", "s", 0, names, ("",) * 20, times, np.ones((rows, 20), np.float32))
    monitor.handle(topics.SENSORS, encode(batch), "com.edgeml.SensorIngestion", 0.0)
    return recorder, stats


def test_run_of_days_shows_dates_and_few_lines() -> None:
    out = io.StringIO()
    recorder, stats = many_channels(2, span_s=20 * 86_400)
    view = TextView(recorder, stats, out)
    view.refresh(0.0)
    [line] = out.getvalue().splitlines()
    assert line.startswith("01-01 01:00  unit-7: channel_0 1.00, ") and "channel_7 1.00, 12 more | no result yet" in line
    assert clock(None, dated=True) == " " * len("01-01 01:00")
    recorder.assets["unit-7"].last_time += 3600 * SECOND  # type: ignore[operator]
    view.refresh(0.1)
    assert len(out.getvalue().splitlines()) == 1, "a line a 24th of the run"


def test_channels_that_do_not_fit_leave_room_for_the_alarm() -> None:
    recorder, stats = many_channels(3, span_s=20 * 86_400)
    shown = frame("a run", LEVELS, recorder, stats, [], 80, 24, colour=False)
    assert len(shown) == 24 and "01-01 02:00 UTC" in shown[0]
    assert sum("channel_" in line for line in shown) == 12 and any(" alarm " in line for line in shown)
