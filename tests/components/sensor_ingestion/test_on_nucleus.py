"""The component as a process on the local nucleus, with its recipe's configuration and accessControl."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeml.messages import (
    Command,
    CommandAck,
    Message,
    ReplayRequest,
    ReplayStart,
    SensorBatch,
    Status,
    decode,
    encode,
    encode_json,
    topics,
)
from edgeml.timestamps import SECOND, to_iso
from gglocal.api.nucleus import Nucleus
from tests.patience import PATIENCE_S

from .kit import CSV, T0, answer, recording, rows, steady

ROOT = Path(__file__).parents[3]
NAME = "com.edgeml.SensorIngestion"


class Device:
    """The component on a nucleus, and a test that plays Inference."""

    def __init__(self, nucleus: Nucleus, folder: Path) -> None:
        self.nucleus, self.folder = nucleus, folder
        self.inbox = nucleus.listen("edgeml/#")
        self.batches: dict[int, SensorBatch] = {}
        self.repeated = 0
        self.heard: list[Message] = []

    def deploy(self, assets: Any, update: dict[str, Any] | None = None) -> None:
        """The shipped recipe, but run from the source tree with this interpreter."""
        recipe = yaml.safe_load((ROOT / "recipes" / f"{NAME}.yaml").read_text())
        recipe["ComponentVersion"] = "1.0.0"
        recipe["ComponentConfiguration"]["DefaultConfiguration"]["assets"] = assets
        path = os.pathsep.join(str(ROOT / part) for part in ("libs", "components"))
        run = {"Script": f"exec {sys.executable} -m sensor_ingestion --work {{work:path}}", "Setenv": {"PYTHONPATH": path}}
        recipe["Manifests"] = [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"run": run}}]
        folder = self.folder / "recipes"
        folder.mkdir()
        (folder / f"{NAME}-1.0.0.yaml").write_text(yaml.safe_dump(recipe))
        self.nucleus.deploy(folder, merge={NAME: "1.0.0"}, config={NAME: update} if update else None)

    def until(self, condition: Callable[[], Any], answering: bool = True) -> Any:
        """Take messages, and answer batches, until `condition()` is true; returns its result."""
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            left = give_up - time.monotonic()
            assert left > 0, f"not in {PATIENCE_S} s; the log ends:\n{self.nucleus.tail(NAME, 40)}"
            try:
                delivery = self.inbox.get(min(left, 1.0))
            except TimeoutError:
                continue
            if delivery.topic.startswith("edgeml/heartbeat") or delivery.sender != NAME:
                continue
            message = decode(delivery.payload)
            self.heard.append(message)
            if isinstance(message, SensorBatch):
                self.take(message, answering)
        return condition()

    def take(self, batch: SensorBatch, answering: bool) -> None:
        if batch.seq in self.batches:
            assert batch == self.batches[batch.seq], "another batch under the same number"
            self.repeated += 1
        self.batches[batch.seq] = batch
        if answering:
            self.nucleus.publish(topics.RESULTS, encode(answer(batch)), signed=True)

    def statuses(self) -> list[Status]:
        return [message for message in self.heard if isinstance(message, Status)]

    def state(self) -> str:
        return self.statuses()[-1].state if self.statuses() else ""


@pytest.fixture
def device(gglocal: Nucleus, tmp_path: Path) -> Device:
    return Device(gglocal, tmp_path)


def played(tmp_path: Path, n: int) -> dict[str, Any]:
    path = recording(tmp_path / "a.csv", steady(n))
    # As Nucleus Lite hands out scalars: as text.
    return {"a": {"source": "csv", "options": {"path": str(path), **CSV, "speed": "0"}, "batch_rows": "5"}}


def test_recording_is_published_completely_despite_two_kills(device: Device, tmp_path: Path) -> None:  # 1, 8, 27
    device.deploy(played(tmp_path, 1000))
    for mark in (30, 90):
        device.until(lambda mark=mark: len(device.batches) >= mark)
        device.nucleus.kill(NAME)
    device.until(lambda: device.state() == "finished")
    assert sorted(device.batches) == list(range(200)) and len({batch.stream for batch in device.batches.values()}) == 1
    times = rows([device.batches[i] for i in range(200)])[0]
    assert ((times - T0) // SECOND).tolist() == list(range(1000))
    assert device.nucleus.refusals == []


def test_absent_consumer_loses_nothing(device: Device, tmp_path: Path) -> None:  # 7, 9
    device.deploy(played(tmp_path, 200))
    device.until(lambda: len(device.batches) == 4, answering=False)
    device.until(lambda: device.repeated >= 4, answering=False)  # batches in flight are bounded, and sent again without an answer
    assert sorted(device.batches) == [0, 1, 2, 3]
    device.nucleus.publish(topics.REPLAY, encode_json(ReplayRequest(topic=topics.SENSORS)), signed=True)
    device.until(lambda: any(isinstance(message, ReplayStart) for message in device.heard), answering=False)
    device.until(lambda: device.state() == "finished")
    assert sorted(device.batches) == list(range(40))


def test_machine_stops_and_starts_by_commands_over_ipc(device: Device) -> None:  # 12, 14, 18
    device.deploy({"a": {"source": "simulator", "options": {"speed": 100, "seed": 3}}})
    device.until(lambda: len(device.batches) > 3)

    def send(id: str, action: str) -> str:
        command = Command(id=id, asset="a", action=action, issued_at=to_iso(time.time_ns()), timeout_s=PATIENCE_S)
        before = len(device.heard)
        device.nucleus.publish(topics.COMMANDS, encode(command), signed=True)
        acks = device.until(lambda: [m for m in device.heard[before:] if isinstance(m, CommandAck) and m.id == id])
        return acks[-1].status

    def rows_that_come(batches: int) -> None:
        newest = max(device.batches)
        device.until(lambda: max(device.batches) > newest + batches)

    def flow() -> float:
        rows_that_come(10)
        return float(device.batches[max(device.batches)].arrays()[1][-1, -1])

    assert send("c1", "stop") == "executed" and flow() == 0
    assert send("c2", "fly") == "refused"
    device.nucleus.kill(NAME)
    rows_that_come(5)  # it is back
    assert send("c1", "stop") == "executed" and send("c3", "start") == "executed" and flow() > 100


def test_component_survives_random_bytes_on_every_topic(device: Device, tmp_path: Path) -> None:  # 26
    device.deploy(played(tmp_path, 600))
    device.until(lambda: len(device.batches) > 10)
    for topic in (topics.RESULTS, topics.COMMANDS, topics.REPLAY):
        for payload in (b"", os.urandom(500), b"{", b'{"type": "command", "v": 99}', encode(ReplayStart(asset="a", stream="s", first=0))):
            device.nucleus.publish(topic, payload)
            device.nucleus.publish(topic, payload, signed=True)
    device.until(lambda: device.state() == "finished")
    assert sorted(device.batches) == list(range(120))
    log = device.nucleus.log_file(NAME).read_text()
    assert "it has no signature" in log and "not a message of this suite" in log and "version 99" in log and "Traceback" not in log


def test_component_with_an_invalid_configuration_waits_for_a_valid_one(device: Device, tmp_path: Path) -> None:  # 19, 27
    wrong = {"assets": {"a": {"source": "opcua"}, "b": {"options": {"sped": 2}}}}
    device.deploy({"b": {"source": "simulator", "options": {"speed": 50}}}, {"merge": wrong})
    device.until(lambda: device.state() == "faulty")
    unknown_option, unknown_source = sorted(device.statuses()[-1].faults, key=lambda fault: "assets.a" in fault)
    assert "choose one of csv, jsonl, simulator" in unknown_source and "did you mean `speed`" in unknown_option
    assert not device.batches
    device.nucleus.deploy(tmp_path / "recipes", merge={NAME: "1.0.0"}, config={NAME: {"reset": ["/assets"]}})
    device.until(lambda: len(device.batches) > 3 and device.state() == "running")
    assert device.statuses()[-1].faults == ()
