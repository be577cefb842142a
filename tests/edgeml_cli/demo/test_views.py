"""The live view fits its terminal; plain lines say the same."""

from __future__ import annotations

import io
import re

import pytest

from edgeml.messages import encode
from edgeml_cli.demo.live_view import LiveView, frame, usable
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.text_view import TextView, clock, number
from tests.edgeml_cli.demo import made

LEVELS = (0.3, 0.9)


@pytest.fixture
def course() -> RunMonitor:
    run = RunMonitor(Recorder(), Statistics(), lambda event: None)
    for message, sender in made.episode()[:46]:
        run.take("edgeml/any", encode(message), sender, 0.0)
    return run


def bare(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (60, 20), (200, 60)])
def test_a_frame_fits(course: RunMonitor, columns: int, lines: int) -> None:
    shown = frame("a run", LEVELS, course.trace, course.tally, course.trace.events, columns, lines)
    assert len(shown) == lines
    assert max(len(bare(line)) for line in shown) <= columns


def test_a_frame_says_how_things_stand(course: RunMonitor) -> None:
    shown = "\n".join(bare(line) for line in frame("a run", LEVELS, course.trace, course.tally, course.trace.events, 80, 24))
    parts = ("pressure", "bar", "flow", "l/min", "confidence 0.", "raise at 0.90", " ACTIVE ", "its command stop: executed", "ALARM ACTIVE")
    for words in parts:
        assert words in shown
    assert f"{course.tally.rows} rows" in shown


def test_a_frame_without_colours_has_no_escapes(course: RunMonitor) -> None:
    shown = frame("a run", LEVELS, course.trace, course.tally, course.trace.events, 80, 24, colour=False)
    assert "\x1b" not in "".join(shown)


def test_a_first_row_is_enough_for_a_frame() -> None:
    run = RunMonitor(Recorder(), Statistics(), lambda event: None)
    run.take("edgeml/sensors", encode(made.batch(0, [0])), None, 0.0)
    assert "no result yet" in "\n".join(frame("a run", LEVELS, run.trace, run.tally, [], 80, 24))


def test_the_live_view_gives_the_terminal_back_and_leaves_the_log(course: RunMonitor) -> None:
    out = io.StringIO()
    view = LiveView("a run", LEVELS, course.trace, course.tally, out)
    for event in course.trace.events:
        view.event(event)
    view.tick(1.0)
    drawn = len(out.getvalue())
    view.tick(1.01)
    assert len(out.getvalue()) == drawn  # not due yet
    view.close()
    assert out.getvalue().startswith("\x1b[?1049h")
    after = out.getvalue().split("\x1b[?1049l")[1]
    assert "ALARM ACTIVE" in after


def test_the_command_beside_an_alarm_is_its_own(course: RunMonitor) -> None:
    assert [command.action for command in course.tally.commands.values()] == ["stop", "restore", "start"]
    shown = [bare(line) for line in frame("a run", LEVELS, course.trace, course.tally, [], 80, 24)]
    assert any(line.startswith(" alarm  ACTIVE   its command stop: executed") for line in shown)
    course.tally.take(made.alert(5, "pending", 190, id="a2"))
    assert not any("command" in bare(line) for line in frame("a run", LEVELS, course.trace, course.tally, [], 80, 24))


def test_the_log_that_the_live_view_leaves_breaks_no_word(course: RunMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    view = LiveView("a run", LEVELS, course.trace, course.tally, out)
    text = "deviations " * 20
    view.event(Event(made.at(0), "info", text))
    view.close()
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split()[1:] == text.split()


def test_no_terminal_no_live_view() -> None:
    assert not usable(io.StringIO())


def test_plain_lines_carry_readings_confidence_and_alarm_state(course: RunMonitor) -> None:
    out = io.StringIO()
    view = TextView(course.trace, course.tally, out)
    view.tick(0.0)
    view.tick(0.1)
    [line] = out.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  pump-1: pressure \S+ bar flow \S+ l/min \| confidence 0\.\d\d \| alarm active", line)
    view.event(course.trace.events[0])
    assert out.getvalue().splitlines()[1] == f"{clock(made.at(0))}  pump-1 measures pressure, flow"


@pytest.mark.parametrize(("value", "text"), [(0.02659, "0.027"), (1.33, "1.33"), (-0.5, "-0.500"), (233.062, "233.1"), (float("nan"), "–")])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
