"""The summary of a run, and line wrapping between words."""

from __future__ import annotations

from edgeml_cli.demo.statistics import Statistics, summary
from edgeml_cli.demo.summary import duration, short, summary_lines, wrapped
from tests.edgeml_cli.demo import samples


def test_summary_of_an_episode() -> None:
    stats = Statistics()
    for message, sender in samples.episode():
        stats.add(message, sender)
    assert summary_lines(summary(stats)) == [
        "300 rows published, 200 scored, 100 without a decision (learning 100)",
        "alarm on pump-1: raised at 00:02:37, cleared at 00:03:32, peak confidence 0.96: flow is 8 standard deviations low",
        "commands sent by AlertDispatcher: stop (executed)",
        "commands sent by the operator: restore (executed), start (executed)",
        "0 messages lost",
    ]


def test_summary_of_a_run_without_messages() -> None:
    assert summary_lines(summary(Statistics())) == [
        "0 rows published, 0 scored, 0 without a decision",
        "no alarm was raised",
        "0 messages lost",
    ]


def test_wrapping_breaks_no_word() -> None:
    text = "  " + "well-known words of a sentence " * 6
    lines = wrapped(text, 40, 2).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).split() == text.split()
    assert lines[0].startswith("  well") and all(line.startswith("    ") and line[4] != " " for line in lines[1:])
    path = "/a/very/long/path/" * 5
    assert path in wrapped(f"see {path} now", 40).splitlines()
    assert wrapped("short", 80) == "short"


def test_long_run_shows_days() -> None:
    stats = Statistics()
    for message, sender in samples.episode():
        stats.add(message, sender)
    line = summary_lines(summary(stats), dated=True)[1]
    assert line.startswith("alarm on pump-1: raised at 01-01 00:02, cleared at 01-01 00:03")
    assert short("2026-02-05T12:34:56.000Z") == "12:34:56"


def test_durations_have_a_readable_unit() -> None:
    assert [duration(s) for s in (7, 599, 780, 3 * 3600 + 720, 5.4 * 86_400)] == ["7 s", "599 s", "13 min", "3.2 h", "5.4 days"]
