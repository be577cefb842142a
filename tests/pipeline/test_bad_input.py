"""Bad messages and mistyped options cost one sentence in the log: README of Inference 13, SensorIngestion 26, AlertDispatcher 9."""

from __future__ import annotations

import random

import msgspec
import pytest

from edgeml.messages import MESSAGES, Status, decode, topics
from edgeml_cli.demo.run_monitor import RunMonitor
from edgeml_cli.demo.scenario import ASSET, one_episode
from gglocal.core.state import Delivery
from tests.patience import PATIENCE_S
from tests.pipeline.line import COMPONENTS, THING, Line, access, valve

SOURCE, INFERENCE, DISPATCHER = COMPONENTS


def subscribed(built, version) -> dict[str, set[str]]:
    """Local topics that some component of the suite subscribes to, and those from IoT Core."""
    found: dict[str, set[str]] = {"aws.greengrass.ipc.pubsub": set(), "aws.greengrass.ipc.mqttproxy": set()}
    for component in COMPONENTS:
        for service, policies in access(built, version, component).items():
            for policy in policies.values():
                if any("Subscribe" in operation for operation in policy["operations"]):
                    found[service] |= {resource.replace("+", THING) for resource in policy["resources"]}
    return found


def test_pipeline_survives_random_bytes_and_newer_messages_on_every_topic(line, built, version):
    suite = line()
    scenario = valve(speed=200)
    wanted = subscribed(built, version)
    chance = random.Random(4)
    rubbish = [b"", b"{", b"\xff" * 50, *(chance.randbytes(chance.randrange(1, 300)) for _ in range(10))]
    rubbish += [msgspec.msgpack.encode({"type": kind.__struct_config__.tag, "v": 9, "asset": ASSET}) for kind in MESSAGES]
    sent: list[str] = []

    def on_message(course: RunMonitor, delivery: Delivery) -> None:
        if course.stats.rows > 100 and not sent:
            for topic in sorted(wanted["aws.greengrass.ipc.pubsub"]):
                sent.append(topic)
                for payload in rubbish:
                    suite.nucleus.publish(topic, payload)
                    suite.nucleus.publish(topic, payload, signed=True)
            for topic in sorted(wanted["aws.greengrass.ipc.mqttproxy"]):
                for payload in rubbish:
                    suite.nucleus.publish_iot(topic, payload)

    suite.deploy(scenario.config, version)
    tally = suite.follow(scenario, on_message, expected=" messages were refused: ")
    assert len(sent) > 8
    assert one_episode(tally) == []
    assert (tally.rows, tally.gaps, tally.rows_without_result) == (1300, 0, 0)
    for component in COMPONENTS:
        assert suite.nucleus.component(component).starts == 1
        assert "of version 9; this component supports up to 1, update it" in suite.log(component)
        assert "it has no signature" in suite.log(component)
        assert "Traceback" not in suite.log(component)


FAULTY = {
    "an unknown option": (INFERENCE, {"thraeds": 2}, "`thraeds` is an unknown option; did you mean `threads`?"),
    "a threshold outside 0 to 1": (DISPATCHER, {"policy": {"raise_at": 1.5}}, "`policy.raise_at` is"),
    "a raise level below the clear level": (DISPATCHER, {"policy": {"raise_at": 0.2}}, "`policy.raise_at`"),
    "an unknown source": (SOURCE, {"assets": {"p": {"source": "modbus"}}}, "choose one of csv, jsonl, simulator"),
    "an unknown action": (DISPATCHER, {"actions": {"sms": {}}}, "command, iot_core, log"),
    "a bundle that is not there": (INFERENCE, {"bundle": "no_such"}, "no_such"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_wrong_configuration_is_reported_and_can_be_corrected(line, version, fault):
    component, config, sentence = FAULTY[fault]
    suite = line()
    suite.deploy({component: config}, version)
    assert wait_status(suite, component, "faulty", sentence)
    assert suite.nucleus.component(component).starts == 1
    reset = [f"/{key}" for key in config]
    suite.nucleus.deploy(suite.built / "recipes", suite.built / "artifacts", {component: version}, {component: {"reset": reset}})
    assert wait_status(suite, component, "running", "")
    assert "Traceback" not in suite.log(component)


def wait_status(suite: Line, component: str, state: str, sentence: str) -> bool:
    while True:
        delivery = suite.heard.get(timeout=PATIENCE_S)
        if delivery.topic != topics.STATUS or delivery.sender != component:
            continue
        status = decode(delivery.payload)
        assert isinstance(status, Status)
        if status.state == state:
            return any(sentence in fault for fault in status.faults) if sentence else not status.faults
