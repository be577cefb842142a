"""Alarms about sensing itself, and the health that goes to IoT Core: README 34 to 41."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alert_dispatcher.health_conditions import CONDITIONS, PREFIX
from edgeml.messages import Acknowledge, Alert, Health, UnscoredAsset, topics
from tests.components.alert_dispatcher.kit import Bench

SENSING, JUDGING = "com.edgeml.SensorIngestion", "com.edgeml.Inference"
WELL: dict[str, dict[str, Any]] = {
    SENSING: {"row_age_s": {"pump-1": 0.5}, "queues": {"inbox": (0, 2000)}},
    JUDGING: {"message_age_s": {topics.SENSORS: 0.5}, "queues": {"outbox": (0, 100)}},
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def live(bench: Bench, seconds: float, step: float = 5.0, without: str = "", **changes: dict[str, Any]) -> None:
    """Let both components say how they are every `step` s; `changes` by the last part of the component's name."""
    for _ in range(round(seconds / step)):
        for component, said in WELL.items():
            if component == without:
                continue
            own = {"state": "running", **said, **changes.get(component.rsplit(".", 1)[-1], {})}
            bench.give(topics.HEALTH, Health(component=component, at="2020-03-09T10:14:33.000Z", **own))
        bench.wait(step)


def watched(bench: Bench) -> list[Alert]:
    return [alert for alert in bench.alerts() if alert.model.startswith(PREFIX)]


UNJUDGED = UnscoredAsset(reason="sensor: flow missing", since="2020-03-09T10:12:32.000Z", for_s=121.0, rows=500, share=0.9)
SILENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "source-stalled": ("pump-1", {"SensorIngestion": {"row_age_s": {"pump-1": 61.0}}}, "pump-1: its source has read no row for 1 min 1 s"),
    "not-scored": (
        "pump-1",
        {"Inference": {"unscored": {"pump-1": UNJUDGED}}},
        "pump-1 is not scored: 90 % of its rows have had no decision for 2 min 1 s (sensor: flow missing); check its sensors and",
    ),
    "stream-silent": (
        f"{JUDGING} {topics.SENSORS}",
        {"Inference": {"message_age_s": {topics.SENSORS: 31.0}}},
        f"{JUDGING} has received nothing on edgeml/sensors for 31 s, not even a keep-alive; {SENSING} is alive, "
        "so the subscription has stopped delivering",
    ),
    "component-silent": (SENSING, {"without": SENSING}, f"{SENSING} has reported no health for"),
    "component-faulty": (
        JUDGING,
        {"Inference": {"state": "faulty", "faults": ("the bundle is not there",)}},
        f"{JUDGING} is faulty: the bundle is not there",
    ),
    "queue-full": (
        f"{JUDGING} outbox",
        {"Inference": {"queues": {"outbox": (95, 100)}}},
        f"{JUDGING}: the queue outbox is 95 % full, 95 of 100",
    ),
}


def test_every_condition_is_tested():
    assert set(SILENT) == set(CONDITIONS)


@pytest.mark.parametrize("name", SILENT)
def test_34_condition_becomes_an_alarm_with_the_usual_states(bench, name):
    about, changes, why = SILENT[name]
    live(bench, 20)
    assert watched(bench) == []
    live(bench, 90, **changes)
    alerts = watched(bench)
    assert [(alert.state, alert.asset, alert.model) for alert in alerts] == [
        ("pending", about, PREFIX + name),
        ("active", about, PREFIX + name),
    ]
    assert alerts[1].why.startswith(why)
    bench.acknowledge(alerts[1].id)
    live(bench, 20)
    states = [(alert.state, alert.id) for alert in watched(bench)]
    assert states == [(state, alerts[0].id) for state in ("pending", "active", "acknowledged", "cleared")]
    assert watched(bench)[2].acknowledged_by == "Ada"
    assert watched(bench)[3].why == f"{about}: back to normal; {CONDITIONS[name].cleared}"
    assert bench.commands() == []


def test_34_short_condition_is_no_alarm(bench):
    live(bench, 3, step=3.0, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    live(bench, 10)
    assert [(alert.state, alert.raised_at) for alert in watched(bench)] == [("pending", None), ("cleared", None)]


def test_35_silent_producer_is_distinguished_from_a_dead_subscription(bench):
    live(bench, 20)
    live(bench, 90, without=SENSING, Inference={"message_age_s": {topics.SENSORS: 70.0}})
    (active,) = [alert for alert in watched(bench) if alert.model == PREFIX + "stream-silent" and alert.state == "active"]
    # When it was raised, the producer had reported recently; later alerts have the newer sentence.
    bench.acknowledge(active.id)
    assert f"{SENSING} is silent too" in watched(bench)[-1].why


def test_36_first_message_has_time_to_arrive(bench):
    nothing = {"message_age_s": {topics.SENSORS: None}}
    live(bench, 290, Inference=nothing)
    assert watched(bench) == []
    live(bench, 30, Inference=nothing)
    assert [alert.state for alert in watched(bench)] == ["pending", "active"]


def test_37_thresholds_are_options_for_each_asset_too_and_0_switches_off(tmp_path):
    bench = Bench(tmp_path, health_alarms={"sources": {"slow": 600}, "component_after_s": 0})
    live(bench, 60, SensorIngestion={"row_age_s": {"slow": 590.0, "pump-1": 61.0}})
    live(bench, 300, without=JUDGING, SensorIngestion={"row_age_s": {"slow": 590.0, "pump-1": 61.0}})
    assert {alert.asset for alert in watched(bench)} == {"pump-1"}


@pytest.mark.parametrize(("command", "wanted"), [({}, []), ({"on_source_stalled": True}, [("pump-1", "stop")])])
def test_38_stalled_source_sends_a_command_only_if_configured(tmp_path, command, wanted):
    bench = Bench(tmp_path, actions={"command": {**command, "timeout_s": 1}})
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    live(bench, 90, without=JUDGING, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    assert list(dict.fromkeys(alert.asset for alert in watched(bench) if alert.state == "active")) == ["pump-1", JUDGING]
    assert list(dict.fromkeys((sent.asset, sent.action) for sent in bench.commands())) == wanted


def test_39_alarm_survives_a_restart_and_clears_after_it(bench):
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    (pending, active) = watched(bench)
    bench.kill()
    bench.restart()
    bench.wait(60)  # nothing is known yet: it stays open
    assert len(watched(bench)) == 2
    live(bench, 20)
    assert (watched(bench)[-1].state, watched(bench)[-1].id) == ("cleared", active.id)
    assert not [kept for kept in bench.service._store.policies() if kept.model.startswith(PREFIX)]


def test_39_a_component_that_is_still_silent_after_a_restart_stays_alarmed(bench):
    live(bench, 20)
    live(bench, 90, without=JUDGING)
    bench.kill()
    bench.restart()
    live(bench, 400, without=JUDGING)
    assert [alert.state for alert in watched(bench)] == ["pending", "active"]
    live(bench, 20)
    assert watched(bench)[-1].state == "cleared"


def test_39_removed_asset_is_no_longer_stalled(bench):
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    live(bench, 320, SensorIngestion={"row_age_s": {}})
    assert [alert.state for alert in watched(bench)] == ["pending", "active", "cleared"]


def test_39_reports_of_a_silent_component_stay_valid(bench):
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    live(bench, 400, without=SENSING)
    about = [(alert.state, alert.asset) for alert in watched(bench)]
    assert about.count(("active", "pump-1")) == 1 and ("cleared", "pump-1") not in about


def test_39_unscored_asset_stays_alarmed_while_inference_counts_from_its_start(bench):
    live(bench, 20, Inference={"unscored": {"pump-1": UNJUDGED}})
    for for_s in (0.0, 10.0, 60.0):
        live(bench, 20, Inference={"unscored": {"pump-1": msgspec.structs.replace(UNJUDGED, for_s=for_s)}})
    assert [alert.state for alert in watched(bench)] == ["pending", "active"]
    live(bench, 20)
    assert watched(bench)[-1].state == "cleared"


def test_37_unscored_asset_is_no_alarm_before_its_time_and_never_with_0(tmp_path):
    bench = Bench(tmp_path, health_alarms={"unscored_after_s": 0})
    live(bench, 60, Inference={"unscored": {"pump-1": msgspec.structs.replace(UNJUDGED, for_s=1e6)}})
    assert watched(bench) == []
    (tmp_path / "other").mkdir()
    bench = Bench(tmp_path / "other")
    live(bench, 60, Inference={"unscored": {"pump-1": msgspec.structs.replace(UNJUDGED, for_s=119.0)}})
    assert watched(bench) == []


def test_39_wall_clock_set_back_stops_no_alarm(bench):
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    bench.set_by = -86_400.0
    bench.kill()
    bench.restart()
    live(bench, 20)
    assert watched(bench)[-1].state == "cleared"


def test_40_alarms_go_to_iot_core_and_an_unknown_id_is_still_named(bench, caplog):
    live(bench, 20, SensorIngestion={"row_age_s": {"pump-1": 61.0}})
    sent = [msgspec.json.decode(payload) for topic, payload in bench.bus.cloud if topic == topics.cloud_alerts("gateway")]
    assert [(alert["state"], alert["model"]) for alert in sent] == [("active", "health/source-stalled")]
    bench.give(topics.ALERTS_ACK, Acknowledge(alarm="nobody"))
    assert "unknown alarm 'nobody'" in caplog.text


def test_41_health_goes_to_iot_core_downsampled_and_at_each_change_of_state(bench):
    live(bench, 900, SensorIngestion={"row_age_s": {}})
    bench.give(topics.HEALTH, Health(component=SENSING, at="", state="faulty"))
    bench.wait(2)
    sent = [msgspec.json.decode(payload) for topic, payload in bench.bus.cloud if topic == topics.cloud_health("gateway")]
    states = [said["state"] for said in sent if said["component"] == SENSING]
    assert states == ["running"] * 3 + ["faulty"]
    assert sent[0]["queues"] == {"inbox": [0, 2000]}


def test_41_health_of_a_neighbour_with_many_names_is_bounded(bench):
    for number in range(1000):
        bench.service.on_message(topics.HEALTH, Health(component=f"x{number}", at="", state="running", queues={"q": (9, 9)}))
    bench.wait(30)
    assert len(bench.service._monitor.open) == 200
