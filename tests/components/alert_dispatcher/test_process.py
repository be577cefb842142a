"""The component as a process, with the SDK's own client, the recipe's configuration and its accessControl, against a real IPC server."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edgeml.messages import (
    Acknowledge,
    Alert,
    Command,
    CommandAck,
    Message,
    ReplayRequest,
    ReplayStart,
    Status,
    decode,
    encode,
    encode_json,
    topics,
)
from edgeml.timestamps import SECOND
from gglocal.core.state import Delivery
from tests.components.alert_dispatcher.kit import ALARM, POLICY, T0, results
from tests.gglocal.ipc_world import EVERYTHING, World, binary, world
from tests.independent_signer import sign
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
NAME = "com.edgeml.AlertDispatcher"


class Device:
    """A nucleus with the dispatcher, and a test that plays Inference and the machine."""

    def __init__(self, nucleus: World, work: Path) -> None:
        self.nucleus, self.work = nucleus, work
        recipe = yaml.safe_load((ROOT / "recipes" / f"{NAME}.yaml").read_text())
        configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
        configuration["policy"] |= {key: str(value) for key, value in POLICY.items()}
        configuration["report"] = {"interval_s": 0, "gather_s": 0}
        self.access_control = configuration.pop("accessControl")
        nucleus.do(nucleus.core.config.merge, NAME, configuration, 1)
        self.heard: list[Delivery] = []
        self._waiting = threading.Condition()
        nucleus.do(nucleus.core.tap, self._hear)
        self.client = nucleus.client("com.test.Inference", EVERYTHING)
        self.process: subprocess.Popen[bytes] | None = None

    def _hear(self, delivery: Delivery) -> None:
        with self._waiting:
            self.heard.append(delivery)
            self._waiting.notify_all()

    def start(self) -> None:
        before = len(self.on(topics.REPLAY))
        self.launch()
        self.until(lambda: len(self.on(topics.REPLAY)) > before)

    def launch(self) -> None:
        environment = os.environ | {
            "SVCUID": self.nucleus.token(NAME, self.access_control),
            "AWS_IOT_THING_NAME": "a-thing",
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.nucleus.socket_path),
            "PYTHONPATH": f"{ROOT / 'libs'}{os.pathsep}{ROOT / 'components'}",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "alert_dispatcher", "--work", str(self.work)], env=environment, cwd=self.work
        )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def configure(self, changes: dict[str, Any], timestamp: int) -> None:
        self.nucleus.do(self.nucleus.core.config.merge, NAME, changes, timestamp)

    def give(self, topic: str, message: Message) -> None:
        self.client.publish_to_topic(topic=topic, publish_message=binary(sign(self.work / "messages.key", topic, encode(message))))

    def from_cloud(self, topic: str, payload: bytes) -> None:
        self.nucleus.do(self.nucleus.core.iot.publish, topic, payload, 1, None)

    def on(self, topic: str) -> list[Any]:
        with self._waiting:
            return [decode(d.payload) for d in self.heard if d.topic == topic and d.kind == "local"]

    def in_cloud(self, topic: str) -> list[bytes]:
        with self._waiting:
            return [d.payload for d in self.heard if d.topic == topic and d.kind == "to-iot"]

    def states(self) -> list[str]:
        return [alert.state for alert in self.on(topics.ALERTS)]

    def soon(self, condition: Callable[[], bool]) -> None:
        """As `until`, for conditions without a message."""
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, "waited in vain"
            time.sleep(0.05)

    def until(self, condition: Callable[[], Any]) -> None:
        with self._waiting:
            if not self._waiting.wait_for(condition, PATIENCE_S):
                raise AssertionError(f"waited in vain; alerts: {self.states()}")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with world() as nucleus:
        made = Device(nucleus, tmp_path)
        try:
            yield made
        finally:
            if made.process is not None:
                made.end(signal.SIGKILL)


def test_alarm_passes_through_all_its_states(device):
    device.start()
    device.give(topics.RESULTS, results(ALARM[:12]))
    device.until(lambda: device.states() == ["pending", "active"])
    device.until(lambda: device.on(topics.COMMANDS))
    command = device.on(topics.COMMANDS)[0]
    assert isinstance(command, Command) and command.action == "stop"
    device.give(topics.COMMANDS_ACK, CommandAck(id=command.id, asset=command.asset, status="executed"))
    device.from_cloud(topics.cloud_alerts_ack("a-thing"), encode_json(Acknowledge(alarm=command.alarm, by="Ada")))
    device.until(lambda: device.states()[-1:] == ["acknowledged"])
    device.give(topics.RESULTS, results(ALARM[12:], 12, 1))
    device.until(lambda: device.states()[-1:] == ["cleared"])
    device.until(lambda: len(device.in_cloud(topics.cloud_alerts("a-thing"))) == 3)
    alerts = [decode(payload) for payload in device.in_cloud(topics.cloud_alerts("a-thing"))]
    assert [(type(a), a.state) for a in alerts] == [(Alert, "active"), (Alert, "acknowledged"), (Alert, "cleared")]
    device.until(lambda: device.in_cloud(topics.cloud_results("a-thing")))
    assert device.nucleus.core.refusals == []
    assert device.end(signal.SIGTERM) == 0


def waiting(work: Path) -> int:
    """Messages in the outbox, as another process sees them."""
    with closing(sqlite3.connect(f"file:{work / 'alarms.sqlite3'}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT COUNT(*) FROM outgoing").fetchone()[0])


def test_44_echoed_message_is_delivered(device):
    device.start()
    device.give(topics.RESULTS, results(ALARM))
    alerts = topics.cloud_alerts("a-thing")
    device.until(lambda: len(device.in_cloud(alerts)) == 2)
    device.soon(lambda: waiting(device.work) == 0)
    assert len({msgspec.json.decode(payload)["entry"] for payload in device.in_cloud(alerts)}) == 2
    assert device.nucleus.core.refusals == []


def test_45_message_without_permission_to_subscribe_is_sent_and_kept(device):
    policies = device.access_control["aws.greengrass.ipc.mqttproxy"]
    for policy in policies.values():
        if policy["operations"] == ["aws.greengrass#SubscribeToIoTCore"]:
            policy["resources"] = ["edgeml/+/alerts/ack"]
    device.configure({"outbox": {"echo_s": 0.3}}, 2)
    device.start()
    device.give(topics.RESULTS, results(ALARM))
    alerts = topics.cloud_alerts("a-thing")
    device.until(lambda: {decode(payload).state for payload in device.in_cloud(alerts)} == {"active", "cleared"})
    device.until(lambda: any("IoT Core echoes no alerts" in " ".join(said.faults) for said in device.on(topics.STATUS)))
    assert waiting(device.work) == 2
    assert len({msgspec.json.decode(payload)["entry"] for payload in device.in_cloud(alerts)}) == 2


def test_alarm_keeps_its_id_over_a_kill(device):
    device.start()
    device.give(topics.RESULTS, results(ALARM[:12]))
    device.until(lambda: device.on(topics.COMMANDS) and len(device.states()) == 2)
    device.end(signal.SIGKILL)
    device.give(topics.RESULTS, results(ALARM[12:15], 12, 1))
    device.start()
    replay = device.on(topics.REPLAY)[-1]
    assert isinstance(replay, ReplayRequest) and replay.since == T0 + 11 * SECOND
    device.give(topics.RESULTS, ReplayStart(asset="pump-1", stream="inference-1", first=1))
    device.give(topics.RESULTS, results(ALARM[12:15], 12, 1))
    device.give(topics.RESULTS, results(ALARM[15:], 15, 2))
    device.until(lambda: "cleared" in device.states())
    # Killed between publishing an alert and noting that, it publishes that one again.
    assert list(dict.fromkeys(device.states())) == ["pending", "active", "cleared"] and len(device.states()) <= 4
    assert len({alert.id for alert in device.on(topics.ALERTS)}) == 1
    assert len({command.id for command in device.on(topics.COMMANDS)}) == 1


def test_component_survives_random_bytes_and_newer_messages(device):
    device.start()
    for topic in (topics.RESULTS, topics.COMMANDS_ACK, topics.ALERTS_ACK):
        for payload in (b"\x93\x00\xff", b"{", b"", encode(Acknowledge(alarm="x", v=99)), encode(results([0.5]))[:50]):
            for sent in (payload, sign(device.work / "messages.key", topic, payload)):
                device.client.publish_to_topic(topic=topic, publish_message=binary(sent))
    device.from_cloud(topics.cloud_alerts_ack("a-thing"), b"\x00\x01")
    device.give(topics.RESULTS, results(ALARM))
    device.until(lambda: device.states() == ["pending", "active", "cleared"])


def test_wrong_configuration_is_reported_and_a_corrected_one_applied(device):
    device.configure({"policy": {"raise_at": "0.2", "hold_s": "long"}, "actions": {"mail": {"to": "x"}}}, 2)
    device.launch()
    device.until(lambda: device.on(topics.STATUS))
    (status,) = device.on(topics.STATUS)
    assert isinstance(status, Status) and status.state == "faulty"
    assert [fault.split(" ")[0] for fault in status.faults] == ["`actions.mail`", "`policy.hold_s`", "`policy.raise_at`"]
    assert device.on(topics.REPLAY) == []
    device.nucleus.do(device.nucleus.core.config.reset, NAME, ["actions", "mail"])
    device.configure({"policy": {"raise_at": "0.9", "hold_s": "4"}}, 3)
    device.until(lambda: device.on(topics.REPLAY))
    assert device.process is not None and device.process.poll() is None
    device.give(topics.RESULTS, results(ALARM))
    device.until(lambda: device.states() == ["pending", "active", "cleared"])
