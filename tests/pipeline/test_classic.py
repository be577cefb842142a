"""The whole pipeline on the classic nucleus as it is delivered: no option of the nucleus is set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeml.alarms.alarm_policy import ACKNOWLEDGED
from edgeml.messages import Acknowledge, Alert, decode, encode_json, topics
from edgeml_cli.build.package import SUITE
from tests.pipeline.line import COMPONENTS, THING, valve

SOURCE, _, DISPATCHER = COMPONENTS
TO_CLOUD = {topics.cloud_alerts(THING), topics.cloud_results(THING), topics.cloud_health(THING), topics.cloud_captures(THING)}


def test_deployment_json_deploys_a_configured_suite(line, built: Path):
    suite = line(profile="classic")
    config: dict[str, Any] = valve(speed=100).config
    config[SOURCE]["capture"] |= {"segment_rows": 50, "upload": True, "upload_confirmation": "echo"}
    config.setdefault(DISPATCHER, {}).update(outbox={"confirmation": {"health": "echo", "results": "echo"}}, policy={"raise_at": 0.85})
    components = json.loads((built / "deployment.json").read_text())["components"]
    assert SUITE in components
    sent: set[str] = set()
    echoed: set[str] = set()
    alerts: list[Alert] = []

    def hear(delivery: Any) -> None:
        if delivery.kind == "to-iot":
            sent.add(delivery.topic)
        elif delivery.kind == "from-iot":
            echoed.add(delivery.topic)
        elif delivery.topic == topics.ALERTS:
            alert = decode(delivery.payload)
            assert isinstance(alert, Alert)
            alerts.append(alert)

    suite.nucleus.tap(hear)
    suite.nucleus.deploy(
        built / "recipes",
        built / "artifacts",
        {name: each["componentVersion"] for name, each in components.items()},
        {name: {"merge": values} for name, values in config.items()},
    )
    assert suite.nucleus.component(DISPATCHER).configuration["policy"]["raise_at"] == 0.85
    suite.until(lambda: sent == TO_CLOUD == echoed, 120, "everything that is for IoT Core, there and back")
    suite.until(lambda: any(alert.state == "active" for alert in alerts), 60, "an alarm")
    alarm = next(alert.id for alert in alerts if alert.state == "active")
    suite.nucleus.publish_iot(topics.cloud_alerts_ack(THING), encode_json(Acknowledge(alarm=alarm, by="Ada")))
    suite.until(lambda: any(alert.id == alarm and alert.state == ACKNOWLEDGED for alert in alerts), 30, "the operator's acknowledgement")
    assert suite.nucleus.refusals == []
    assert not any("UnauthorizedError" in suite.log(component) for component in COMPONENTS)
