"""53: an alarm ends, with the reason, if its model or asset was removed."""

from __future__ import annotations

import json

import msgspec
import pytest

from alert_dispatcher.alarm_expiry import AlarmExpiry, ExpiryOptions
from edgeml.messages import topics
from edgeml.timestamps import SECOND, Moment
from tests.components.alert_dispatcher.kit import ALARM, Bench, results

CLOUD = topics.cloud_alerts("gateway")


def other_model(bench: Bench, start: int, asset: str = "pump-1") -> None:
    """A minute of results of another model, from second `start` on."""
    seq = bench.seq if asset == "pump-1" else start
    bench.seq += asset == "pump-1"
    block = results([0.1] * 60, start, seq, asset=asset, stream="inference-1" if asset == "pump-1" else f"inference-{start}")
    bench.give(topics.RESULTS, msgspec.structs.replace(block, model="skab-2", seq=seq if asset == "pump-1" else 0))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, expiry={"replaced_after_s": 600, "silent_after_s": 86_400}, actions={"log": {}, "iot_core": {}})


def last(bench: Bench) -> tuple[str, str]:
    return bench.alerts()[-1].id, bench.alerts()[-1].state


def test_alarm_ends_when_its_model_is_replaced(bench, caplog):
    alarm = bench.raise_alarm()
    for minute in range(12):
        other_model(bench, 100 + 60 * minute)
        bench.wait(60, step=5)
        if minute < 9:
            assert last(bench) == (alarm, "active")
    ended = bench.alerts()[-1]
    assert (ended.id, ended.state, ended.model) == (alarm, "cleared", "skab")
    because = "model skab has given no result for 10 min 0 s and skab-2 scores pump-1 instead"
    assert ended.why == f"pump-1: ended, and not known to be over: {because}; confidence 97 % at last, at most 97 %"
    assert ended.note == because and because in caplog.text
    assert json.loads([payload for topic, payload in bench.bus.cloud if topic == CLOUD][-1])["why"] == ended.why
    assert [alert.state for alert in bench.alerts()] == ["pending", "active", "cleared"]


def test_alarm_ends_when_its_asset_is_removed(bench):
    alarm = bench.raise_alarm()
    for minute in range(30):
        other_model(bench, 100 + 60 * minute, "pump-2")
        bench.wait(60, step=10)
    assert last(bench) == (alarm, "active"), "another asset's model says nothing of this one"
    bench.wait(86_400, step=100)
    assert last(bench) == (alarm, "cleared")
    assert "no result of model skab for pump-1 has come for 24 h 0 min; check whether it was removed" in bench.alerts()[-1].why
    bench.acknowledge(alarm)
    assert len(bench.alerts()) == 3


def test_rare_results_keep_an_alarm_although_another_model_answers(bench):
    alarm = bench.raise_alarm()
    for minute in range(40):
        other_model(bench, 100 + 60 * minute)
        if minute % 9 == 0:
            bench.results([None], 100 + 60 * minute)
        bench.wait(60, step=10)
    assert last(bench) == (alarm, "active")


def test_silent_model_replaces_no_other(bench):
    alarm = bench.raise_alarm()
    bench.wait(5)
    other_model(bench, 100)
    bench.wait(3600, step=10)
    assert last(bench) == (alarm, "active"), "both are silent: nobody knows which of the two will answer again"


@pytest.mark.parametrize("boot", [False, True])
def test_silence_keeps_growing_over_restarts(bench, monkeypatch, boot):
    alarm = bench.raise_alarm()
    for day_part in range(8):
        bench.wait(3 * 3600 - 60, step=100)
        assert last(bench) == (alarm, "active"), day_part
        bench.kill()
        if boot:
            monkeypatch.setattr("alert_dispatcher.model_alarms.boot_id", lambda part=day_part: f"boot {part}")
        bench.restart()
    bench.wait(1000, step=10)
    assert last(bench) == (alarm, "cleared")


def test_ended_silence_does_not_count_after_a_restart(bench):
    alarm = bench.raise_alarm()
    bench.wait(80_000, step=100)
    bench.results([None], 13)
    bench.wait(10)
    bench.kill()
    bench.restart()
    bench.wait(10_000, step=100)
    assert last(bench) == (alarm, "active")


@pytest.mark.parametrize("state", ["pending", "acknowledged"])
def test_every_open_alarm_ends(bench, state):
    if state == "pending":
        bench.results(ALARM[:8])
    else:
        bench.acknowledge(bench.raise_alarm())
    alarm = bench.alerts()[-1].id
    assert last(bench) == (alarm, state)
    bench.wait(90_000, step=100)
    assert last(bench) == (alarm, "cleared") and "not known to be over" in bench.alerts()[-1].why


def test_alarm_stays_with_a_threshold_of_0(tmp_path):
    bench = Bench(tmp_path, expiry={"replaced_after_s": 0, "silent_after_s": "0"})
    alarm = bench.raise_alarm()
    for minute in range(12):
        other_model(bench, 100 + 60 * minute)
        bench.wait(60, step=5)
    bench.wait(200_000, step=500)
    assert last(bench) == (alarm, "active")


def test_step_of_the_wall_clock_ends_no_alarm(bench):
    alarm = bench.raise_alarm()
    bench.wait(120)
    bench.set_by = 10_000_000
    bench.wait(120)
    assert last(bench) == (alarm, "active")


def test_clock_set_back_over_a_reboot_restarts_the_silence():
    key = "pump-1", "skab"
    expiry = AlarmExpiry(ExpiryOptions(), {key: Moment(5000 * SECOND, 10.0, "one")})
    assert expiry.expired([key], Moment(100 * SECOND, 5.0, "two")) == []
    assert len(expiry.expired([key], Moment(91_400 * SECOND, 5.0, "two"))) == 1


def test_restarted_recording_ends_an_alarm_without_calling_it_over(bench):
    bench.results([0.97] * 700)
    assert last(bench)[1] == "active"
    bench.give(topics.RESULTS, results([0.0] * 5, 0, 0, stream="inference-2", answers="sensors-2"))
    ended = bench.alerts()[-1]
    assert ended.state == "cleared" and ended.note == "the source restarted with earlier times"
    assert ended.why.startswith("pump-1: ended, and not known to be over: the source restarted with earlier times; ")
