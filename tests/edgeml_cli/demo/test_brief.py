"""The end of a run in a few lines, and lines that a terminal does not break within a word."""

from __future__ import annotations

from edgeml_cli.demo.statistics import Statistics, summary
from edgeml_cli.demo.summary import brief, wrapped
from tests.edgeml_cli.demo import made


def test_an_episode_in_lines() -> None:
    tally = Statistics()
    for message, sender in made.episode():
        tally.take(message, sender)
    assert brief(summary(tally)) == [
        "300 rows published, 200 scored, 100 without a decision (learning 100)",
        "alarm on pump-1: raised at 00:02:37, cleared at 00:03:32, peak confidence 0.96",
        "AlertDispatcher commanded stop (executed)",
        "maintenance commanded restore (executed), start (executed)",
        "0 messages lost",
    ]


def test_a_run_without_anything() -> None:
    assert brief(summary(Statistics())) == ["0 rows published, 0 scored, 0 without a decision", "no alarm", "0 messages lost"]


def test_no_word_is_broken() -> None:
    text = "  " + "well-known words of a sentence " * 6
    lines = wrapped(text, 40, 2).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).split() == text.split()
    assert lines[0].startswith("  well") and all(line.startswith("    ") and line[4] != " " for line in lines[1:])
    path = "/a/very/long/path/" * 5
    assert path in wrapped(f"see {path} now", 40).splitlines()
    assert wrapped("short", 80) == "short"
