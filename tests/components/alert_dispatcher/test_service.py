"""The numbered behaviors of components/alert_dispatcher/README.md, on a bus that records messages."""

from __future__ import annotations

import json
import logging
import sqlite3

import msgspec
import numpy as np
import pytest

from alert_dispatcher.actions.log import LogAction
from alert_dispatcher.model_policies import ModelPolicies
from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.service import STATE_FILE
from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.config.schema import read
from edgeml.errors import MessageError, OptionsError
from edgeml.messages import Acknowledge, ReplayStart, Status, topics
from edgeml.timestamps import SECOND, to_iso
from tests.components.alert_dispatcher.kit import ALARM, T0, Bench, results


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_1_each_change_of_state_is_an_alert_with_one_id(bench):
    bench.results(ALARM)
    alerts = bench.alerts()
    assert [a.state for a in alerts] == ["pending", "active", "cleared"]
    assert len({a.id for a in alerts}) == 1
    assert [a.seq for a in alerts] == [0, 1, 2] and len({a.stream for a in alerts}) == 1
    assert alerts[1].raised_at == alerts[1].at == to_iso(T0 + 11 * SECOND) and alerts[1].cleared_at is None
    assert alerts[2].cleared_at == to_iso(T0 + 18 * SECOND) and alerts[2].peak_confidence == 0.97
    assert (alerts[0].asset, alerts[0].model, alerts[0].model_version) == ("pump-1", "skab", "1.2.0")


def test_2_alert_has_its_reason(bench):
    bench.raise_alarm()
    assert bench.alerts()[-1].why == "pump-1: flow 6.2σ below normal, pressure 4.1σ above; confidence 97 % for 4 s"


def test_2_alert_has_the_explanation_of_the_result_that_raised_it(bench):
    texts = [""] * 5 + ["flow is low"] * 6 + ["flow is low for current"] * 4 + [""] * 10
    bench.give(topics.RESULTS, results(ALARM, why=texts))
    pending, active, cleared = (alert.why for alert in bench.alerts())
    assert pending.startswith("pump-1: flow is low; confidence 97 %")
    assert active == "pump-1: flow is low for current; confidence 97 % for 4 s"
    assert cleared == "pump-1: back to normal; confidence 0 %, at most 97 % in 11 s"


def test_2_deviations_of_a_model_that_explains_are_not_read_as_standard_deviations(bench):
    bench.give(topics.RESULTS, results(ALARM, why=[""] * len(ALARM)))
    assert bench.alerts()[1].why == "pump-1: confidence 97 % for 4 s"


def test_3_assets_are_evaluated_separately(bench):
    bench.results(ALARM[:12])
    bench.give(topics.RESULTS, results(ALARM[:12], asset="pump-2"))
    assert {(a.asset, a.state) for a in bench.alerts()} == {
        ("pump-1", "pending"),
        ("pump-1", "active"),
        ("pump-2", "pending"),
        ("pump-2", "active"),
    }
    assert len({a.id for a in bench.alerts()}) == 2


def test_4_no_decision_neither_raises_nor_clears(bench):
    bench.results([None] * 60)
    assert bench.alerts() == []
    bench.results(ALARM[:12], 60)
    bench.results([None] * 60, 72)
    assert [a.state for a in bench.alerts()] == ["pending", "active"]


def test_5_missing_results_are_requested_and_repetitions_ignored(bench):
    assert [(r.topic, r.asset, r.since) for r in bench.bus.messages(topics.REPLAY)] == [(topics.RESULTS, "", 0)]
    bench.raise_alarm()
    bench.kill()
    bench.restart()
    replay = bench.bus.messages(topics.REPLAY)[-1]
    assert (replay.topic, replay.asset, replay.since) == (topics.RESULTS, "", T0 + 11 * SECOND)
    # Inference was restarted, too: a new stream, and old times evaluated again.
    bench.give(topics.RESULTS, ReplayStart(asset="pump-1", stream="inference-2", first=0))
    bench.give(topics.RESULTS, results(ALARM, 0, 0, stream="inference-2"))
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]
    assert len({a.id for a in bench.alerts()}) == 1


def test_5_missing_number_is_requested_and_evaluated_in_order(bench):
    bench.results(ALARM[:8])
    bench.give(topics.RESULTS, results(ALARM[10:], 10, 2))
    assert [a.state for a in bench.alerts()] == ["pending"]
    assert bench.bus.messages(topics.REPLAY)[-1].since == T0 + 7 * SECOND
    bench.give(topics.RESULTS, ReplayStart(asset="pump-1", stream="inference-1", first=1))
    bench.give(topics.RESULTS, results(ALARM[8:10], 8, 1))
    bench.give(topics.RESULTS, results(ALARM[10:], 10, 2))
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]


def test_5_42_loss_is_logged_and_counted_in_the_health(bench, caplog):
    bench.results(ALARM[:8])
    bench.give(topics.RESULTS, results(ALARM[10:], 10, 2))
    bench.now += 60
    bench.give(topics.RESULTS, results(ALARM[10:], 10, 2))
    assert "1 result messages were lost before number 2 of pump-1" in caplog.text
    metrics = bench.service.metrics()
    assert metrics.drops["results lost on the way"] == 1
    assert metrics.queues[f"to {topics.ALERTS}"] == (0, 0) and "to IoT Core: kB" in metrics.queues


def test_6_restarted_recording_is_evaluated_again(bench):
    bench.results(ALARM + [0.0] * 600)
    bench.give(topics.RESULTS, results(ALARM, 0, 0, stream="inference-2", answers="sensors-2"))
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"] * 2
    assert len({a.id for a in bench.alerts()}) == 2


def test_6_small_step_back_of_the_clock_restarts_the_evaluation(bench):
    bench.results(ALARM[:12], 100)
    bench.kill()
    bench.restart()
    bench.give(topics.RESULTS, msgspec.structs.replace(results(ALARM, 60, 1), answers_stream="sensors-1", epoch=1))
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared", "pending", "active", "cleared"]
    assert "restarted with earlier times" in bench.alerts()[2].note


@pytest.mark.parametrize("reason", ["ahead of the clock", "time running backwards"])
def test_6_result_with_an_implausible_time_is_ignored(bench, reason):
    years = 10**8
    bench.give(topics.RESULTS, msgspec.structs.replace(results([None], years, 0), reasons=(reason,)))
    for start, block in ((0, ALARM[:8]), (8, ALARM[8:])):
        bench.seq += 1
        bench.give(topics.RESULTS, results(block, start, bench.seq))
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]
    assert bench.service._model_alarms.tracker.position("pump-1")[2] == T0 + 24 * SECOND


@pytest.mark.parametrize("topic", [topics.ALERTS_ACK, topics.cloud_alerts_ack("gateway")])
def test_7_people_acknowledge_by_both_topics(bench, topic):
    alarm = bench.raise_alarm()
    bench.acknowledge(alarm, topic)
    last = bench.alerts()[-1]
    assert (last.id, last.state, last.acknowledged_by, last.note) == (alarm, "acknowledged", "Ada", "on my way")
    assert "acknowledged by Ada" in last.why
    assert topic in bench.service.topics + bench.service.cloud_topics
    bench.kill()
    bench.restart()
    bench.results(ALARM[12:], 12)
    last = bench.alerts()[-1]
    assert (last.id, last.state, last.acknowledged_by) == (alarm, "cleared", "Ada")


def test_7_acknowledgement_of_no_active_alarm_is_logged(bench, caplog):
    def sentence(alarm):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            bench.acknowledge(alarm)
        assert len(caplog.records) == 1
        return caplog.records[0].getMessage()

    assert "unknown alarm 'x'" in sentence("x")
    bench.results(ALARM[:8])
    alarm = bench.alerts()[-1].id
    assert "is pending" in sentence(alarm)
    bench.results(ALARM[8:12], 8)
    bench.acknowledge(alarm)
    assert "already acknowledged by Ada" in sentence(alarm)
    bench.results(ALARM[12:], 12)
    assert "is cleared" in sentence(alarm)
    assert [a.state for a in bench.alerts()] == ["pending", "active", "acknowledged", "cleared"]


def test_7_names_and_notes_become_one_short_line(bench):
    alarm = bench.raise_alarm()
    bench.give(topics.ALERTS_ACK, Acknowledge(alarm=alarm, by="Ada\nERROR all is lost", note="x" * 5000))
    last = bench.alerts()[-1]
    assert last.acknowledged_by == "Ada ERROR all is lost" and last.note == "x" * 996 + " …"


def test_8_alerts_that_the_nucleus_refuses_are_published_later_and_in_order(bench):
    bench.bus.failing_topics.add(topics.ALERTS)
    bench.results(ALARM)
    assert bench.alerts() == [] and len(bench.commands()) == 0
    bench.kill()
    bench.restart()
    bench.bus.failing_topics.clear()
    bench.wait(3)
    assert [(a.state, a.seq) for a in bench.alerts()] == [("pending", 0), ("active", 1), ("cleared", 2)]


def test_8_a_command_does_not_wait_for_an_alert(bench):
    bench.bus.failing_topics.add(topics.ALERTS)
    bench.results(ALARM[:12])
    assert [c.action for c in bench.commands()] == ["stop"]


@pytest.mark.parametrize("method", ["act", "tick"])
def test_8_failing_action_is_reported_and_the_others_continue(bench, monkeypatch, caplog, method):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(LogAction, method, fail)
    bench.raise_alarm()
    bench.wait(30)
    assert len(bench.commands()) > 0 and [alert.state for alert in bench.alerts()[:2]] == ["pending", "active"]
    (fault,) = bench.service.status().faults
    assert fault.startswith("the action log failed") and "ZeroDivisionError: a bug" in fault
    logged = [record for record in caplog.records if "the action log failed" in record.getMessage()]
    assert len(logged) == 1 and logged[0].exc_info is not None
    monkeypatch.undo()
    bench.wait(120)
    assert bench.service.status().faults == ()


def test_9_messages_on_the_wrong_topic_are_dropped(bench, caplog):
    for topic in (*bench.service.topics, *bench.service.cloud_topics):
        bench.give(topic, Status(component="x", state="running"))
    assert len(caplog.records) == len(bench.service.topics + bench.service.cloud_topics)
    bench.results(ALARM)
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]


def test_9_malformed_block_is_refused(bench):
    block = results(ALARM)
    with pytest.raises(MessageError, match="times"):
        bench.service.on_message(
            topics.RESULTS, type(block)(**{name: getattr(block, name) for name in block.__struct_fields__ if name != "times"}, times=b"123")
        )
    bench.results(ALARM)
    assert len(bench.alerts()) == 3


def test_10_damaged_state_is_set_aside(bench, tmp_path, caplog):
    bench.raise_alarm()
    bench.kill()
    (tmp_path / STATE_FILE).write_bytes(b"not a database" * 100)
    bench.restart()
    assert "renamed to alarms.damaged and replaced by a new file" in caplog.text and (tmp_path / "alarms.damaged").exists()
    bench.bus.local.clear()
    bench.seq = 0
    bench.results(ALARM, answers="sensors-2")
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]


@pytest.mark.parametrize("model", ["skab", "health/source-stalled"])
def test_10_damaged_policy_is_skipped(bench, caplog, model):
    bench.raise_alarm()
    store = bench.service._store
    store.do("INSERT OR REPLACE INTO policies VALUES ('pump-9', ?, '1', '{\"judged\": \"soon\"}')", model)
    bench.kill()
    bench.restart()
    assert f"the policy of pump-9 and {model} in the state cannot be read" in caplog.text
    bench.results(ALARM[12:], 12)
    assert [alert.state for alert in bench.alerts()] == ["pending", "active", "cleared"]


def test_10_state_that_cannot_be_written_is_retried(bench, tmp_path):
    bench.results(ALARM[:8])
    other = sqlite3.connect(tmp_path / STATE_FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    bench.service._store._db.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(Exception, match="check its permissions and the free space"):
        bench.results(ALARM[8:12], 8)
    other.execute("ROLLBACK")
    other.close()
    bench.wait(6)
    # The producer answers the replay that is asked for again.
    assert bench.bus.messages(topics.REPLAY)[-1].since == T0 + 7 * SECOND
    bench.give(topics.RESULTS, results(ALARM[8:12], 8, 1))
    assert [a.state for a in bench.alerts()] == ["pending", "active"]


@pytest.mark.parametrize("warms_up", [True, False])
def test_54_cold_machine_is_not_stopped_while_it_warms_up(bench, warms_up):
    standing = results([None] * 90, -60, 0)
    bench.give(topics.RESULTS, msgspec.structs.replace(standing, reasons=("stopped",)))
    for second in range(30, 400, 5):
        far = -300.0 * np.exp(-second / 2400) if warms_up else -300.0
        bench.give(topics.RESULTS, results([0.97] * 5, second, second // 5 - 5, deviations=(0.5, 0.2, far)))
    states = [(alert.state, bool(alert.note)) for alert in bench.alerts()]
    if warms_up:
        assert states == [("pending", False), ("pending", True)] and bench.commands() == []
        assert bench.alerts()[-1].note.startswith("not raised while the machine settles after its start")
    else:
        assert states[:2] == [("pending", False), ("active", False)] and len(bench.commands()) >= 1


def test_11_wrong_options_are_all_reported():
    with pytest.raises(OptionsError) as wrong:
        read(
            AlertDispatcherOptions,
            {
                "policy": {"raise_at": "1.5"},
                "report": {"interval": 3},
                "actions": {"mail": {}, "command": {"timeout_s": -1, "cation": "stop"}},
            },
        )
    text = "\n".join(wrong.value.faults)
    assert len(wrong.value.faults) == 5
    assert "`actions.mail` is 'mail', an unknown action; choose one of command, iot_core, log" in text
    for key in ("policy.raise_at", "report.interval", "actions.command.timeout_s", "actions.command.cation"):
        assert f"`{key}`" in text


def test_11_strings_of_lite_are_converted():
    options = read(AlertDispatcherOptions, {"policy": {"votes": "2", "of": "4.0"}, "actions": {"log": "", "command": {"timeout_s": "3"}}})
    assert (options.policy.votes, options.policy.of, list(options.actions)) == (2, 4, ["log", "command"])


def test_11_only_the_actions_that_are_configured_act(tmp_path):
    bench = Bench(tmp_path, actions={"log": {}})
    bench.results(ALARM)
    assert bench.commands() == [] and topics.COMMANDS_ACK not in bench.service.topics
    assert topics.cloud_alerts("gateway") not in {topic for topic, _ in bench.bus.cloud}


LONG = ["n" * 6000, "ü" * 3000, '"' * 3000, "\x1b[2J" * 1000, "\U0001f527" * 1500]


@pytest.mark.parametrize("text", LONG)
def test_acknowledgement_with_any_text_silences_nothing(bench, text):
    alarm = bench.raise_alarm()
    bench.give(topics.ALERTS_ACK, Acknowledge(alarm=alarm, by=text, note=text))
    for number in range(20):
        bench.service._updates.add_note(alarm, f"the command {number} was not acknowledged: {text}")
    bench.tick()
    bench.results([0.0] * 10, 12)
    states = [alert.state for alert in bench.alerts()]
    assert states[-1] == "cleared" and states.count("acknowledged") == 21
    assert [json.loads(payload)["state"] for topic, payload in bench.bus.cloud if topic == topics.cloud_alerts("gateway")][-1] == "cleared"
    last = bench.alerts()[-1]
    assert last.note.startswith("…") and "the command 19 was not" in last.note and last.acknowledged_by.endswith("…")
    assert last.note.isprintable() and last.acknowledged_by.isprintable()


@pytest.mark.parametrize("character", ["a", "ü", '"', "\x1b", "\U0001f527"])
def test_alert_fits_with_names_of_any_length(bench, character):
    name = character * 128
    bench.give(topics.RESULTS, msgspec.structs.replace(results(ALARM, asset=name), model=name, model_version=name))
    assert [alert.state for alert in bench.alerts()] == ["pending", "active", "cleared"]
    assert {alert.asset for alert in bench.alerts()} == {name}
    assert all(alert.why for alert in bench.alerts())


def test_55_each_model_has_its_own_policy(tmp_path):
    bench = Bench(tmp_path, policy_by_model={"slow": {"hold_s": "8", "votes": 1.0}, "gone": None}, report={"interval_s": 0})
    for model in ("skab", "slow"):
        bench.give(topics.RESULTS, results([0.0] * 5 + [0.97] * 30, model=model, stream=model))
    raised = {alert.model: alert.at for alert in bench.alerts() if alert.state == "active"}
    assert raised == {"skab": to_iso(T0 + 11 * SECOND), "slow": to_iso(T0 + 13 * SECOND)}


def test_55_merge_of_a_model_keeps_the_options_of_policy(tmp_path):
    policies = ModelPolicies(PolicyOptions(hold_s=7, of=9), {"a": {"votes": 2, "hold_s": None}, "b": {}, "c": "null"})
    assert policies.of("a") == PolicyOptions(hold_s=7, of=9, votes=2)
    assert policies.of("b") == policies.of("c") == policies.of("d") == PolicyOptions(hold_s=7, of=9)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"a": {"hold": 5}}, "`policy_by_model.a.hold` is an unknown option; did you mean `hold_s`?"),
        ({"a": {"hold_s": "soon"}}, "`policy_by_model.a.hold_s` is 'soon': expected float"),
        ({"a": {"raise_at": 0.2}}, "`policy_by_model.a.raise_at` is 0.2, which is not above `policy_by_model.a.clear_at`, 0.3"),
        ({"a": [1]}, "`policy_by_model.a` is [1]; expected a map of options"),
        ([1], "`policy_by_model` is [1]: expected object"),
    ],
)
def test_55_wrong_policy_of_a_model_is_refused(options, sentence):
    with pytest.raises(OptionsError) as caught:
        read(AlertDispatcherOptions, {"policy_by_model": options, "policy": {"hold_s": "later"}})
    assert sum("policy_by_model" in each for each in caught.value.faults) == 1 and len(caught.value.faults) == 2
    assert any(each.startswith(sentence) for each in caught.value.faults), caught.value.faults
