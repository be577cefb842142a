"""Components with the real SDK, under the access control of their recipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gglocal.api.nucleus import Nucleus
from tests.gglocal.recipes import RecipeFolder

pytest.importorskip("awsiot.greengrasscoreipc")

PUBLISHER = """
import sys
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage, UnauthorizedError

client = GreengrassCoreIPCClientV2()
message = PublishMessage(binary_message=BinaryMessage(message=sys.argv[2].encode()))
try:
    client.publish_to_topic(topic=sys.argv[1], publish_message=message)
    print("published", flush=True)
except UnauthorizedError:
    print("unauthorized", flush=True)
"""

SUBSCRIBER = """
import threading, sys
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

client, done = GreengrassCoreIPCClientV2(), threading.Event()

def heard(event):
    text = event.binary_message.message.decode()
    print(f"heard {text} on {event.binary_message.context.topic}", flush=True)
    if text == "end":
        done.set()

client.subscribe_to_topic(topic=sys.argv[1], on_stream_event=heard)
client.update_state(state="RUNNING")
done.wait()
client.close()
"""

REPORTER = """
import time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
client = GreengrassCoreIPCClientV2()
client.update_state(state="{state}")
time.sleep(1000)
"""

CONFIGURED = """
import json, datetime
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
client = GreengrassCoreIPCClientV2()
print(json.dumps(client.get_configuration().value, sort_keys=True), flush=True)
client.update_configuration(key_path=[], value_to_merge={"count": 1}, timestamp=datetime.datetime.now())
"""


def _policy(operation: str, *resources: str) -> dict[str, Any]:
    policy = {"operations": [f"aws.greengrass#{operation}"], "resources": list(resources)}
    return {"accessControl": {"aws.greengrass.ipc.pubsub": {f"test:{operation}": policy}}}


def _python(file_name: str, *arguments: str) -> str:
    return " ".join(["exec", sys.executable, f"{{artifacts:path}}/{file_name}", *arguments])


def test_components_exchange_a_message(gglocal: Nucleus, tmp_path: Path) -> None:
    # The subscriber's startup step runs in the foreground and reports RUNNING once it has subscribed; only then may Pub start.
    folder = RecipeFolder(tmp_path)
    folder.add(
        "com.example.Sub",
        {"startup": _python("sub.py", "demo/+")},
        config=_policy("SubscribeToTopic", "demo/+"),
        files={"sub.py": SUBSCRIBER},
    )
    folder.add(
        "com.example.Pub",
        {"run": _python("pub.py", "demo/a", "end")},
        config=_policy("PublishToTopic", "demo/*"),
        files={"pub.py": PUBLISHER},
        needs={"com.example.Sub": "HARD"},
    )
    received = gglocal.listen("demo/#")
    gglocal.deploy(folder.recipes, folder.artifacts, {"com.example.Pub": "1.0.0"})
    gglocal.wait_for_state("com.example.Pub", "FINISHED")
    delivery = received.get()
    assert (delivery.topic, delivery.payload, delivery.sender) == ("demo/a", b"end", "com.example.Pub")
    gglocal.wait_until(lambda: gglocal.component("com.example.Sub").exit_code == 0)
    assert "stdout: heard end on demo/a" in gglocal.tail("com.example.Sub")
    assert gglocal.refusals == []


def test_unauthorized_publish_is_refused(gglocal: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add(
        "com.example.Pub",
        {"run": _python("pub.py", "demo/b", "x")},
        config=_policy("PublishToTopic", "demo/a"),
        files={"pub.py": PUBLISHER},
    )
    gglocal.deploy(folder.recipes, folder.artifacts, {"com.example.Pub": "1.0.0"})
    gglocal.wait_for_state("com.example.Pub", "FINISHED")
    assert "stdout: unauthorized" in gglocal.tail("com.example.Pub")
    assert [(each.component, each.operation, each.resource) for each in gglocal.refusals] == [
        ("com.example.Pub", "aws.greengrass#PublishToTopic", "demo/b")
    ]


def test_update_state_changes_the_state(gglocal: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("com.example.Up", {"startup": _python("up.py")}, files={"up.py": REPORTER.format(state="RUNNING")})
    folder.add("com.example.Down", {"run": _python("down.py")}, files={"down.py": REPORTER.format(state="ERRORED")})
    gglocal.deploy(folder.recipes, folder.artifacts, {"com.example.Up": "1.0.0", "com.example.Down": "1.0.0"})
    gglocal.wait_for_state("com.example.Up", "RUNNING")
    gglocal.wait_for_state("com.example.Down", "BROKEN")
    assert "the component reported ERRORED" in gglocal.component("com.example.Down").detail


YAML = """
RecipeFormatVersion: '2020-01-25'
ComponentName: com.example.Configured
ComponentVersion: 1.0.0
ComponentConfiguration:
  DefaultConfiguration: {interval: 5, enabled: true, name: pump}
Manifests:
  - Platform: {os: linux, runtime: '*'}
    Lifecycle:
      run: "PYTHON {artifacts:path}/configured.py"
"""


@pytest.mark.parametrize(
    "profile, expected",
    [
        ("lite", {"interval": "5", "enabled": "true", "name": "pump"}),
        ("classic", {"interval": 5, "enabled": True, "name": "pump"}),
    ],
)
def test_component_reads_and_writes_its_configuration(
    gglocal_factory: Callable[..., Nucleus], tmp_path: Path, profile: str, expected: dict[str, Any]
) -> None:
    folder, name = RecipeFolder(tmp_path), "com.example.Configured"
    folder.write("configured.yaml", YAML.replace("PYTHON", sys.executable))
    path = folder.artifacts / name / "1.0.0"
    path.mkdir(parents=True)
    (path / "configured.py").write_text(CONFIGURED)
    nucleus = gglocal_factory(profile=profile, root=tmp_path / "root")
    nucleus.deploy(folder.recipes, folder.artifacts, {name: "1.0.0"})
    nucleus.wait_for_state(name, "FINISHED")
    printed = next(line for line in nucleus.tail(name).splitlines() if "stdout: {" in line)
    read = json.loads(printed.partition("stdout: ")[2])
    assert {key: int(value) if isinstance(value, float) else value for key, value in read.items()} == expected
    nucleus.stop()
    again = gglocal_factory(profile=profile, root=tmp_path / "root")
    again.deploy(folder.recipes, folder.artifacts, {name: "1.0.0"})
    assert again.component(name).configuration["count"] == 1


def test_client_env_registers_an_external_process(gglocal: Nucleus, tmp_path: Path) -> None:
    received = gglocal.listen("demo/#")
    env = gglocal.client_env("com.example.Test", _policy("PublishToTopic", "demo/a")["accessControl"])
    (tmp_path / "pub.py").write_text(PUBLISHER)
    result = subprocess.run(
        [sys.executable, tmp_path / "pub.py", "demo/a", "hi"], env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )
    assert result.stdout == "published\n", result.stderr
    assert received.get().payload == b"hi"


def test_publish_iot_is_recorded(gglocal: Nucleus) -> None:
    received = gglocal.listen("cloud/#", kind="to-iot")
    gglocal.publish_iot("cloud/a", b"{}")
    assert received.get().topic == "cloud/a"
    record = json.loads(gglocal.root.iot_record.read_text().splitlines()[0])
    assert (record["topic"], record["text"]) == ("cloud/a", "{}")
