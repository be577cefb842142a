"""Short versions of `edgeml dev outage`: nothing is lost while IoT Core is unavailable, or when the process is killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from edgeml_cli.verify.outage.crash_test import FIGURES, count, kill, read_arrived, remove_partial_line, run_dispatcher, run_in_process
from edgeml_cli.verify.outage.generated_results import GeneratedResults
from edgeml_cli.verify.outage.offline_test import offline
from edgeml_cli.verify.outage.recording_bus import Arrived
from edgeml_cli.verify.outage.undelivered_test import undelivered


def test_everything_arrives_in_order_and_flagged_after_an_outage(tmp_path: Path) -> None:
    figures = offline(tmp_path, 0.5, {"max_mb": 64, "reserve_alerts": 10})
    assert (figures["results_arrived"], figures["alerts_arrived"], figures["alerts"]) == (1800, 29, 29)
    assert figures["dropped"] == {} and figures["alerts_lost"] == figures["out_of_order"] == figures["repeated"] == 0
    assert figures["not_flagged_late"] == figures["fresh_flagged_late"] == 0
    assert figures["rss_mb_end"] - figures["rss_mb_first_hour"] <= 5


def test_results_beyond_the_quota_are_downsampled_but_no_alerts(tmp_path: Path) -> None:
    figures = offline(tmp_path, 0.25, {"max_mb": 0.1, "reserve_alerts": 10})
    assert figures["alerts_arrived"] == figures["alerts"] == 14 and figures["outbox_mb"] <= 0.1
    assert figures["dropped"]["results: downsampled"] > 0 and 100 < figures["results_arrived"] < 400
    assert figures["out_of_order"] == figures["not_flagged_late"] == 0


def test_nothing_is_lost_by_a_kill_at_any_step(tmp_path: Path) -> None:
    feed = GeneratedResults(3, 2, 5)  # an alarm that is raised, cleared and raised again
    whole = tmp_path / "0"
    whole.mkdir()
    assert not run_in_process(whole, feed)
    steps = int((whole / "steps").read_text())
    assert steps > 120
    figures: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    for kill_at in range(1, steps + 1):
        work = tmp_path / str(kill_at)
        work.mkdir()
        assert run_in_process(work, feed, kill_at=kill_at), f"not killed at step {kill_at} of {steps}"
        assert not run_in_process(work, feed)
        before = Counter(figures)
        count(figures, feed, read_arrived(work))
        wrong = {name: figures[name] - before[name] for name in ("alerts_lost", "results_lost", "renamed", "out_of_order")}
        assert not any(wrong.values()), f"killed at step {kill_at}: {wrong}"
        assert figures["repeated"] - before["repeated"] <= 1, f"killed at step {kill_at}"
    assert figures["alerts"] == 3 * steps and figures["repeated"] > 0


def test_nothing_is_lost_by_kills_at_random_instants(tmp_path: Path) -> None:
    figures = kill(tmp_path, 20, 7)
    assert figures["kills"] == 20 and figures["alerts"] > 0 and figures["repeated"] <= 20
    assert figures["alerts_lost"] == figures["results_lost"] == figures["renamed"] == figures["out_of_order"] == 0


def test_incomplete_message_has_not_arrived(tmp_path: Path) -> None:
    feed = GeneratedResults(3, 2, 5)
    assert not run_in_process(tmp_path, feed)
    path = tmp_path / "arrived"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    cut = read_arrived(tmp_path)
    assert len(cut.times) + len(cut.alerts) < len(feed.times()) + len(feed.alerts())
    assert path.read_bytes() == b"".join(line + b"\n" for line in whole.splitlines()[:-1])
    for text, left in ((b"", b""), (b"half", b""), (b"one\n", b"one\n")):
        path.write_bytes(text)
        remove_partial_line(path)
        assert path.read_bytes() == left


@pytest.mark.parametrize(("again", "repeated", "renamed"), [("a-1", 1, 0), ("a-2", 0, 1)])
def test_repeated_and_renamed_messages_are_distinguished(again: str, repeated: int, renamed: int) -> None:
    arrived = Arrived()
    for entry in ("a-1", again):
        arrived.add({"type": "alert", "id": "x", "state": "active", "at": "t", "entry": entry})
    assert (arrived.repeated, arrived.renamed, len(arrived.alerts)) == (repeated, renamed, 1)


def test_alerts_rejected_by_the_local_broker_are_published_later(tmp_path: Path) -> None:
    figures = undelivered(tmp_path, 1_050)  # more than any bound on what waits
    assert figures["published_during_outage"] == 0 and figures["published"] == figures["alerts"] >= 1_050
    assert figures["lost"] == figures["out_of_order"] == figures["repeated"] == 0
    assert figures["cloud_alerts"] > 0 and figures["cloud_lost"] == figures["cloud_out_of_order"] == 0


def test_losses_are_counted(tmp_path: Path) -> None:
    feed = GeneratedResults(3, 2, 5)
    run_dispatcher(tmp_path, feed)
    lines = (tmp_path / "arrived").read_bytes().splitlines()
    alerts = [line for line in lines if msgspec.json.decode(line)["type"] == "alert"]
    (tmp_path / "arrived").write_bytes(b"".join(line + b"\n" for line in lines if line not in alerts[:1]))
    figures: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    count(figures, feed, read_arrived(tmp_path))
    assert (figures["alerts"], figures["alerts_lost"], figures["results_lost"]) == (3, 1, 0)
