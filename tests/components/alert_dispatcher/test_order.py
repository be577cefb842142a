"""8, 18, 22 and 27: the order of messages, and that no alert is dropped, with a clock that always advances."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from alert_dispatcher.alert_queue import MAX_PUBLISHED_AT_ONCE
from alert_dispatcher.state_db import ALERTS_BETWEEN_PRUNING, MAX_ALARMS
from edgeml.alarms.alarm_policy import Alarm
from edgeml.messages import topics
from edgeml.timestamps import SECOND
from tests.components.alert_dispatcher.kit import ALARM, Bench, results
from tests.components.alert_dispatcher.test_interlock import batch

CLOUD = topics.cloud_alerts("gateway")
EVERY_ACTION: dict[str, Any] = {"log": {}, "iot_core": {}}


class MovingBench(Bench):
    """Each look at the clock finds it a millisecond further on, and each call on one of `slow` takes so many seconds."""

    def __init__(self, work: Path, slow: dict[str, float], **configuration: Any) -> None:
        self._instant = 0.0
        super().__init__(work, **configuration)
        self.order: list[str] = []
        self.slow = slow
        self.bus.on_publish = self._call

    @property
    def now(self) -> float:
        self._instant += 0.001
        return self._instant

    @now.setter
    def now(self, instant: float) -> None:
        self._instant = instant

    def _call(self, topic: str) -> None:
        self.order.append(topic)
        self._instant += self.slow.get(topic, 0.0)


SLOW = [{}, {CLOUD: 1.0}, {topics.ALERTS: 8.0}, {CLOUD: 1.0, topics.ALERTS: 8.0, topics.cloud_results("gateway"): 1.0}]


@pytest.mark.parametrize("refused", [(), (CLOUD,), (topics.ALERTS,), (CLOUD, topics.ALERTS, topics.cloud_results("gateway"))])
@pytest.mark.parametrize("slow", SLOW)
def test_stop_command_is_sent_first_and_in_the_tick_that_decides_it(tmp_path, slow, refused):
    bench = MovingBench(tmp_path, slow, report={"interval_s": 0})
    bench.bus.failing_topics.update(refused)
    bench.service.on_message(topics.RESULTS, results(ALARM[:12]))
    bench.service.tick(bench.now)
    assert bench.order[0] == topics.COMMANDS and bench.order.count(topics.COMMANDS) == 1
    assert topics.ALERTS in bench.order[1:], "alerts follow in the same tick"


def test_stop_command_of_an_earlier_process_is_sent_in_the_first_tick(tmp_path):
    bench = MovingBench(tmp_path, {})
    bench.bus.failing_topics.add(topics.COMMANDS)
    bench.service.on_message(topics.RESULTS, results(ALARM[:12]))
    bench.service.tick(bench.now)
    bench.kill()
    bench.bus.failing_topics.clear()
    bench.restart()
    bench.order.clear()
    bench.service.tick(bench.now)
    assert bench.order[0] == topics.COMMANDS


def test_interlock_is_checked_at_each_sending(tmp_path):
    interlock = {"allow_when": "pressure > 2.0", "max_age_s": 5, "event_time": False}
    bench = MovingBench(tmp_path, {topics.COMMANDS: 8.0}, actions={"command": {"interlock": interlock, "timeout_s": 60}})
    for asset in ("pump-1", "pump-2"):
        bench.service.on_message(topics.SENSORS, batch(1000, 1, asset=asset))
        bench.service.on_message(topics.RESULTS, results(ALARM[:12], asset=asset))
    bench.service.tick(bench.now)
    assert [command.asset for command in bench.commands()] == ["pump-1"], "eight seconds later the reading of pump-2 is too old"


def test_deadline_is_checked_at_each_sending(tmp_path):
    bench = MovingBench(tmp_path, {topics.COMMANDS: 8.0}, actions={"command": {"timeout_s": 5}})
    for asset in ("pump-1", "pump-2"):
        bench.service.on_message(topics.RESULTS, results(ALARM[:12], asset=asset))
    bench.service.tick(bench.now)
    assert [command.asset for command in bench.commands()] == ["pump-1"]


def _never_answered(bench: Bench) -> None:
    bench.results(ALARM[:12])


def _answered(status: str, late: bool = False):
    def play(bench: Bench) -> None:
        bench.raise_alarm()
        if late:
            bench.wait(11)
        bench.answer(bench.commands()[0], status, "by hand")

    return play


def _over_the_limit(bench: Bench) -> None:
    bench.results(ALARM[:12])
    bench.answer(bench.commands()[0])
    bench.results(ALARM[12:], 12)
    bench.results(ALARM[:12], 100)


INTERLOCK = {"allow_when": "pressure > 2.0", "max_age_s": 5}
NOTES = {
    "not acknowledged": ({"timeout_s": 10}, _never_answered, "did not acknowledge the stop command within 10 s"),
    "held back": ({"interlock": INTERLOCK}, _never_answered, "is held back by the interlock: no readings of pump-1"),
    "forbidden to the end": ({"timeout_s": 10, "interlock": INTERLOCK}, _never_answered, "was not sent within 10 s of the alarm"),
    "over the limit": ({"rate_limit": 1}, _over_the_limit, "is refused: 1 were sent in the last 3600 s"),
    "dry run": ({"dry_run": True}, _never_answered, "dry run: the stop command for pump-1 was decided and not sent"),
    "refused": ({}, _answered("refused"), "answered the stop command with refused: by hand"),
    "answered late": ({"timeout_s": 10}, _answered("executed", late=True), "answered the stop command late with executed: by hand"),
}


@pytest.mark.parametrize("name", NOTES)
def test_alert_that_carries_a_note_reaches_every_action_and_every_topic(tmp_path, caplog, name):
    options, play, note = NOTES[name]
    bench = Bench(tmp_path, actions={**EVERY_ACTION, "command": options})
    with caplog.at_level(logging.INFO, "alert_dispatcher.alarms"):
        play(bench)
        bench.wait(20)
    assert note in bench.alerts()[-1].note
    assert note in json.loads([payload for topic, payload in bench.bus.cloud if topic == CLOUD][-1])["note"]
    assert any(note in record.getMessage() for record in caplog.records if record.name == "alert_dispatcher.alarms")


def test_alert_that_carries_a_note_of_a_tick_is_published_in_that_tick(tmp_path):
    bench = Bench(tmp_path, actions={**EVERY_ACTION, "command": {"dry_run": True}})
    bench.service.on_message(topics.RESULTS, results(ALARM[:12]))
    bench.service.tick(bench.now)
    assert "dry run" in bench.alerts()[-1].note and len(bench.bus.cloud) >= 1


def test_alert_is_deleted_only_after_its_dispatch(tmp_path):
    bench = Bench(tmp_path)
    bench.service.on_message(topics.RESULTS, results(ALARM[:12]))
    store = bench.service._store
    waiting = store.alerts_to_dispatch()
    assert len(waiting) == 2 and store.alerts_to_publish(10) == []
    store.delete_published(waiting[0].no)
    assert store.alerts_to_dispatch() == waiting


def test_1500_refused_alerts_are_reported_and_published_in_order(tmp_path):
    bench = Bench(tmp_path, policy={"votes": 1, "of": 1, "hold_s": 0, "clear_hold_s": 0, "cooldown_s": 0}, actions={"iot_core": {}})
    bench.bus.failing_topics.add(topics.ALERTS)
    for block in range(15):
        bench.results([1.0, 0.0] * 17, 34 * block)
    assert bench.service._store.unpublished_count == 15 * 17 * 3 > ALERTS_BETWEEN_PRUNING
    bench.kill()
    bench.restart()
    for block in range(15, 30):
        bench.results([1.0, 0.0] * 17, 34 * block)
    bench.wait(2)
    waiting = 30 * 17 * 3
    assert waiting > 1500
    (fault,) = [fault for fault in bench.service.status().faults if "alerts wait" in fault]
    assert fault.startswith(f"{waiting} alerts wait: the nucleus refuses them on edgeml/alerts")
    assert bench.service.metrics().queues["to edgeml/alerts"] == (waiting, 0)
    bench.bus.failing_topics.clear()
    bench.wait(20)
    alerts = bench.alerts()
    assert [(a.state, a.seq) for a in alerts] == [
        (state, 3 * number + turn) for number in range(waiting // 3) for turn, state in enumerate(("pending", "active", "cleared"))
    ]
    assert [a.at for a in alerts] == sorted(a.at for a in alerts) and len({(a.id, a.state) for a in alerts}) == waiting
    assert bench.service.status().faults == () and bench.service.metrics().queues["to edgeml/alerts"] == (0, 0)


def test_waiting_alerts_delay_no_command(tmp_path):
    bench = MovingBench(tmp_path, {topics.ALERTS: 0.01}, actions={"command": {}})
    bench.bus.failing_topics.add(topics.ALERTS)
    for asset in range(400):
        bench.service.on_message(topics.RESULTS, results(ALARM[:8], asset=f"other-{asset}"))
    bench.service.tick(bench.now)
    bench.bus.failing_topics.clear()
    bench.now += 2
    bench.order.clear()
    bench.service.tick(bench.now)
    bench.service.on_message(topics.RESULTS, results(ALARM[:12]))
    bench.service.tick(bench.now)
    before = bench.order[: bench.order.index(topics.COMMANDS)]
    assert 0 < before.count(topics.ALERTS) <= MAX_PUBLISHED_AT_ONCE < bench.order.count(topics.ALERTS)


def test_open_alarm_keeps_its_command_however_many_others_come_and_go(tmp_path):
    bench = Bench(tmp_path, actions={"command": {}})
    alarm = bench.raise_alarm()
    bench.answer(bench.commands()[0])
    store = bench.service._store
    with store.transaction():
        for number in range(MAX_ALARMS + 5):
            store.save_alarm(
                Alarm(
                    id=f"{number:016x}",
                    asset="a",
                    model="m",
                    state="cleared",
                    pending_at=number * SECOND,
                    confidence=0.0,
                    peak=1.0,
                )
            )
    store.prune()
    assert store.alarm(alarm) is not None and store.alarm(f"{0:016x}") is None
    bench.service._updates.add_note(alarm, "somebody has looked")
    bench.wait(5)
    assert len(bench.commands()) == 1, "an alert of the same state is not another alarm"


def test_alert_that_the_outbox_refuses_is_reported(tmp_path):
    bench = Bench(tmp_path, outbox={"reserve_alerts": 0, "max_mb": 0.1})
    with bench.service._store.transaction():
        while bench.service._store.outbox.put(0, CLOUD, b'{"pad":"%s"}' % (b"x" * 900), 0) is not None:
            pass
    bench.results(ALARM[:12])
    assert any("alerts for the cloud were refused because the outbox is full" in fault for fault in bench.service.status().faults)
    assert bench.service._store.outbox.put(0, CLOUD, b'{"pad":"%s"}' % (b"x" * 9000), 0) is None
    assert any(fault.startswith("1 alerts are too large for the cloud") for fault in bench.service.status().faults)
