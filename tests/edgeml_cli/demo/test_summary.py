"""The summary of a run, and line wrapping between words."""

from __future__ import annotations

from edgeml_cli.demo.statistics import Statistics, summary
from edgeml_cli.demo.summary import summary_lines, wrapped
from tests.edgeml_cli.demo import samples


def test_summary_of_an_episode() -> None:
    stats = Statistics()
    for message, sender in samples.episode():
        stats.add(message, sender)
    assert summary_lines(summary(stats)) == [
        "300 rows published, 200 scored, 100 without a decision (learning 100)",
        "alarm on pump-1: raised at 00:02:37, cleared at 00:03:32, peak confidence 0.96",
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
