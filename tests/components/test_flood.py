"""A neighbour that sends the same wrong message again and again does not fill the disk with lines about it."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeml.errors import EdgemlError
from edgeml.messages import (
    Acknowledge,
    Alert,
    Command,
    CommandAck,
    Health,
    KeepAlive,
    Message,
    Permit,
    Release,
    ReplayRequest,
    ReplayStart,
    ResetBaseline,
    Status,
    topics,
)
from tests.components.alert_dispatcher.kit import Bench as Dispatcher
from tests.components.alert_dispatcher.kit import results
from tests.components.inference.kit import Bench as Inference
from tests.components.sensor_ingestion.kit import Bench as Ingestion

TIMES = 100
MOST = 6
"""Lines of one kind about so many messages within a minute."""
EVERYWHERE = [value for name, value in vars(topics).items() if name.isupper() and isinstance(value, str)]


def flood(number: int) -> list[Message]:
    """One of each type, with what a sender can choose different each time."""
    name = f"pump-{1 + number % 2}"
    return [
        Acknowledge(alarm=f"{number}", by="x"),
        Command(id=f"{number}", asset=name, action=f"leap {number}"),
        CommandAck(id=f"{number}", asset=name, status="executed"),
        Release(asset=name, by="\u200b"),
        Release(asset=name, by="Ada"),
        Permit(asset=name, allowed=False),
        ReplayRequest(topic=topics.SENSORS, asset=name),
        ReplayStart(asset=name, stream=f"{number}", first=number),
        KeepAlive(asset=name, stream=f"{number}", seq=number),
        ResetBaseline(asset=f"nobody {number}"),
        ResetBaseline(),
        Status(component="x", state="running"),
        Health(component=f"com.edgeml.X{number}", at="now", state="running"),
        Alert(id=f"{number}", asset=name, stream="s", seq=number, model="m", model_version="1", state="active", at="soon"),
        results([None], number, 5 * number),
    ]


def dispatcher(work: Path) -> tuple[Callable[[str, Message], None], Callable[[], float]]:
    bench = Dispatcher(work, actions={"command": {"interlock": {"permit": True}}})
    return bench.service.on_message, lambda: bench.service.tick(bench.now)


def inference(work: Path) -> tuple[Callable[[str, Message], None], Callable[[], float]]:
    bench = Inference(work)
    return bench.service.on_message, lambda: bench.service.tick(bench.now)


def ingestion(work: Path) -> tuple[Callable[[str, Message], None], Callable[[], float]]:
    silent = {"source": "jsonl", "options": {"program": ["sleep", "99"]}}
    assets = {"pump-1": {"source": "simulator", "lockout_after": "stop"}, "pump-2": silent}
    bench = Ingestion(work, assets, capture={"mode": "alarms"})
    return bench.service.on_message, bench.tick


@pytest.mark.slow("SensorIngestion starts a program")
@pytest.mark.parametrize("component", [dispatcher, inference, ingestion])
def test_lines_about_messages_are_limited(
    component: Callable[[Path], tuple[Callable[[str, Message], None], Callable[[], float]]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    give, tick = component(tmp_path)
    caplog.clear()
    for number, topic in itertools.product(range(TIMES), EVERYWHERE):
        for message in flood(number):
            with contextlib.suppress(EdgemlError):  # these the loop of every component logs, once a minute
                give(topic, message)
        tick()
    kinds = Counter(str(record.msg) for record in caplog.records)
    assert kinds and max(kinds.values()) <= MOST, kinds.most_common(5)
