"""The report is self-contained, shows the whole run, and handles unusual runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from edgeml.messages import encode
from edgeml.timestamps import SECOND
from edgeml_cli.demo.html_report import Run, render
from edgeml_cli.demo.html_report.charts import Gap, bridged_gap, gaps_of, spans_of
from edgeml_cli.demo.html_report.svg import Scale, curve, ticks, time_ticks
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.statistics import Statistics, summary
from tests.edgeml_cli.demo import samples

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Strict(HTMLParser):
    """Collects the elements and checks that every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, tag: str, kind: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag and kind in (attrs.get("class") or "").split()]


def page(messages: list, **changes: object) -> str:
    monitor = RunMonitor(Recorder(), Statistics(), lambda event: None)
    for message, sender in messages:
        monitor.handle("edgeml/any", encode(message), sender, 0.0)
    run = {
        "title": "a run",
        "command": "scripts/demo",
        "thresholds": (0.3, 0.9),
        "recorder": monitor.recorder,
        "stats": monitor.stats,
        "counts": summary(monitor.stats),
        "onset": samples.at(140),
    }
    return render(Run(**(run | changes)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def episode() -> str:
    return page(samples.episode())


def test_report_has_no_external_references(episode: str) -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch\(|import\(", episode)
    names = {name for tag, attributes in Strict(episode).elements for name in attributes}
    assert names.isdisjoint({"src", "href", "srcset", "data", "action", "poster"})


def test_report_is_well_formed_and_contains_the_plots(episode: str) -> None:
    parsed = Strict(episode)
    assert parsed.open == []
    assert [attributes["data-series"] for tag, attributes in parsed.elements if tag == "svg"] == ["confidence", *samples.CHANNELS]
    assert len(parsed.of("path", "curve")) == 3
    assert all(attributes["d"] for attributes in parsed.of("path", "curve"))
    assert len(parsed.of("line", "level")) == 2
    assert len(parsed.of("rect", "alarm")) == 3  # the one alarm, behind each plot
    assert len(parsed.of("rect", "none")) == 3
    assert len(parsed.of("line", "onset")) == 3
    assert len(parsed.of("line", "command")) == 9  # stop, restore, start
    assert len(parsed.of("circle", "flagged")) == 6
    for words in ("learning", "raise 0.90", "clear 0.30", "ALARM ACTIVE", "operator sends the command: start", "as expected"):
        assert words in episode


def test_problems_are_shown_at_the_top() -> None:
    wrong = page(samples.episode(), problems=("2 alarms became active, expected exactly 1",))
    assert "not as expected" in wrong
    assert wrong.index("2 alarms became active") < wrong.index("<section")


def test_texts_are_escaped() -> None:
    odd = page(samples.episode(), title="</title><script>alert(1)</script>", problems=("a < b",), onset=None)
    assert "<script>alert" not in odd
    assert "a &lt; b" in odd
    renamed = [(message, sender) for message, sender in samples.episode()[:2]]
    block = samples.results(0, list(range(10)), None, reason="</script><b>")
    assert "</script><b>" not in page([renamed[0], (block, None)])


def test_run_without_messages_has_a_report() -> None:
    nothing = page([], problems=("pump-1: no column 'Voltage'",))
    assert Strict(nothing).open == []
    assert "Voltage" in nothing and "<svg" not in nothing


def test_curve_is_interrupted_by_missing_readings() -> None:
    times = np.arange(6) * SECOND
    values = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 5.0])
    scale = Scale(0, 5 * SECOND, 0.0, 100.0), Scale(0.0, 5.0, 50.0, 0.0)
    assert curve(times, values, *scale, 2 * SECOND) == "M0.0,40.0L20.0,30.0M60.0,20.0L80.0,10.0L100.0,0.0"
    times = np.array([0, 1, 9, 10]) * SECOND
    assert curve(times, np.ones(4), Scale(0, 10 * SECOND, 0, 10), scale[1], 2 * SECOND).count("M") == 2


def test_long_curve_keeps_its_extremes() -> None:
    times = np.arange(100_000) * SECOND
    values = np.sin(times / SECOND)
    values[54_321] = 9.0
    drawn = curve(times, values, Scale(0, int(times[-1]), 0.0, 500.0), Scale(0.0, 9.0, 90.0, 0.0), 2 * SECOND)
    assert len(re.findall("[ML]", drawn)) <= 1100
    assert ",0.0" in drawn


def test_spans_join_results_with_the_same_reason() -> None:
    recorder = Recorder()
    asset = recorder.asset(samples.ASSET)
    asset.add_results(samples.results(0, [0, 1, 2], [None, None, 0.5], reason="learning 1/9"), [0, 1, 2])
    asset.add_results(samples.results(1, [3, 4], None, reason="stopped"), [0, 1])
    assert [(span.start, span.end, span.reason, span.rows) for span in spans_of(asset.results())] == [
        (samples.at(0), samples.at(1), "learning", 2),
        (samples.at(3), samples.at(4), "stopped", 2),
    ]


def test_gaps_are_shaded_and_labelled(episode: str) -> None:
    rows = [*range(60), *range(120, 180)]
    gap = page([(samples.batch(0, rows[:60]), None), (samples.batch(1, rows[60:]), None)], onset=None)
    assert len(Strict(gap).of("rect", "gap")) == 3  # behind each plot
    assert "no readings, 00:00:59 to 00:02:00" in gap and ">no readings</text>" in gap and "swatch gap" in gap
    assert Strict(episode).of("rect", "gap") == [] and "swatch gap" not in episode


def test_gap_is_longer_than_three_usual_intervals() -> None:
    slow = np.array([0, 60, 120, 180, 400, 460]) * SECOND
    assert gaps_of(slow) == [Gap(180 * SECOND, 400 * SECOND)]
    assert gaps_of(np.array([0, 1, 2, 8, 9]) * SECOND) == []
    assert gaps_of(np.array([5])) == gaps_of(np.zeros(0, np.int64)) == []


def test_rows_a_minute_apart_are_drawn_as_a_line() -> None:
    times = np.arange(10) * 60 * SECOND
    x, y = Scale(0, int(times[-1]), 0.0, 500.0), Scale(0.0, 9.0, 90.0, 0.0)
    assert curve(times, np.arange(10.0), x, y, bridged_gap(times)).count("M") == 1
    assert bridged_gap(np.arange(3) * SECOND) == 6 * SECOND and bridged_gap(times[:1]) == 6 * SECOND


def test_event_log_is_in_order_of_event_time() -> None:
    recorder = Recorder()
    recorder.events = [Event(samples.at(5), "info", "third"), Event(None, "info", "first"), Event(samples.at(2), "info", "second")]
    shown = page([], recorder=recorder)
    places = [shown.index(f"<td>{words}</td>") for words in ("first", "second", "third")]
    assert places == sorted(places)


def test_report_shows_pace_and_channel_notes() -> None:
    shown = page(samples.episode(), pace="Event time runs 60 times faster.", notes={"pressure": "It has steps."})
    assert "Event time runs 60 times faster." in shown and shown.count("It has steps.") == 1
    assert shown.index("It has steps.") < shown.index('data-series="flow"')


def test_report_mentions_that_counts_can_differ(episode: str) -> None:
    assert "Repeat this scenario: <code>scripts/demo</code> (counts can differ" in episode
    assert "counts can differ" not in page(samples.episode()[:20])


def test_plots_scroll_together(episode: str) -> None:
    assert episode.count('<div class="plots">') == 1
    assert episode.index('<div class="plots">') < episode.index("<svg")
    assert episode.count("overflow-x: auto") == 2  # the plots, and the counts


def test_ticks_are_round() -> None:
    assert ticks(0.0, 1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(-0.43, 1.1, 4) == [0.0, 0.5, 1.0]
    assert ticks(3.0, 3.0, 4) == [3.0]
    assert time_ticks(samples.at(30), samples.at(400), 4) == [samples.at(120), samples.at(240), samples.at(360)]
