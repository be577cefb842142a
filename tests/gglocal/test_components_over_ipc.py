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
from tests.gglocal.recipes import Shelf

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


def test_a_pair_talks(gglocal: Nucleus, tmp_path: Path) -> None:
    # The subscriber's startup step stays in the foreground and reports RUNNING once it listens: only then may Pub start.
    shelf = Shelf(tmp_path)
    shelf.add(
        "com.example.Sub",
        {"startup": _python("sub.py", "demo/+")},
        config=_policy("SubscribeToTopic", "demo/+"),
        files={"sub.py": SUBSCRIBER},
    )
    shelf.add(
        "com.example.Pub",
        {"run": _python("pub.py", "demo/a", "end")},
        config=_policy("PublishToTopic", "demo/*"),
        files={"pub.py": PUBLISHER},
        needs={"com.example.Sub": "HARD"},
    )
    heard = gglocal.listen("demo/#")
    gglocal.deploy(shelf.recipes, shelf.artifacts, {"com.example.Pub": "1.0.0"})
    gglocal.wait_for_state("com.example.Pub", "FINISHED")
    delivery = heard.get()
    assert (delivery.topic, delivery.payload, delivery.sender) == ("demo/a", b"end", "com.example.Pub")
    gglocal.wait_until(lambda: gglocal.component("com.example.Sub").exit_code == 0)
    assert "stdout: heard end on demo/a" in gglocal.tail("com.example.Sub")
    assert gglocal.refusals == []


def test_what_access_control_does_not_name_is_refused(gglocal: Nucleus, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add(
        "com.example.Pub",
        {"run": _python("pub.py", "demo/b", "x")},
        config=_policy("PublishToTopic", "demo/a"),
        files={"pub.py": PUBLISHER},
    )
    gglocal.deploy(shelf.recipes, shelf.artifacts, {"com.example.Pub": "1.0.0"})
    gglocal.wait_for_state("com.example.Pub", "FINISHED")
    assert "stdout: unauthorized" in gglocal.tail("com.example.Pub")
    assert [(each.component, each.operation, each.resource) for each in gglocal.refusals] == [
        ("com.example.Pub", "aws.greengrass#PublishToTopic", "demo/b")
    ]


def test_update_state_moves_a_component(gglocal: Nucleus, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("com.example.Up", {"startup": _python("up.py")}, files={"up.py": REPORTER.format(state="RUNNING")})
    shelf.add("com.example.Down", {"run": _python("down.py")}, files={"down.py": REPORTER.format(state="ERRORED")})
    gglocal.deploy(shelf.recipes, shelf.artifacts, {"com.example.Up": "1.0.0", "com.example.Down": "1.0.0"})
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
    "profile, wanted",
    [
        ("lite", {"interval": "5", "enabled": "true", "name": "pump"}),
        ("classic", {"interval": 5, "enabled": True, "name": "pump"}),
    ],
)
def test_a_component_reads_and_writes_its_configuration(
    gglocal_factory: Callable[..., Nucleus], tmp_path: Path, profile: str, wanted: dict[str, Any]
) -> None:
    shelf, name = Shelf(tmp_path), "com.example.Configured"
    shelf.write("configured.yaml", YAML.replace("PYTHON", sys.executable))
    place = shelf.artifacts / name / "1.0.0"
    place.mkdir(parents=True)
    (place / "configured.py").write_text(CONFIGURED)
    nucleus = gglocal_factory(profile=profile, root=tmp_path / "root")
    nucleus.deploy(shelf.recipes, shelf.artifacts, {name: "1.0.0"})
    nucleus.wait_for_state(name, "FINISHED")
    printed = next(line for line in nucleus.tail(name).splitlines() if "stdout: {" in line)
    read = json.loads(printed.partition("stdout: ")[2])
    assert {key: int(value) if isinstance(value, float) else value for key, value in read.items()} == wanted
    nucleus.stop()
    again = gglocal_factory(profile=profile, root=tmp_path / "root")
    again.deploy(shelf.recipes, shelf.artifacts, {name: "1.0.0"})
    assert again.component(name).configuration["count"] == 1


def test_a_client_that_somebody_else_starts(gglocal: Nucleus, tmp_path: Path) -> None:
    heard = gglocal.listen("demo/#")
    env = gglocal.client_env("com.example.Test", _policy("PublishToTopic", "demo/a")["accessControl"])
    (tmp_path / "pub.py").write_text(PUBLISHER)
    result = subprocess.run(
        [sys.executable, tmp_path / "pub.py", "demo/a", "hi"], env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )
    assert result.stdout == "published\n", result.stderr
    assert heard.get().payload == b"hi"


def test_the_cloud_publishes_and_is_recorded(gglocal: Nucleus) -> None:
    heard = gglocal.listen("cloud/#", kind="to-iot")
    gglocal.publish_iot("cloud/a", b"{}")
    assert heard.get().topic == "cloud/a"
    record = json.loads(gglocal.root.iot_record.read_text().splitlines()[0])
    assert (record["topic"], record["text"]) == ("cloud/a", "{}")
