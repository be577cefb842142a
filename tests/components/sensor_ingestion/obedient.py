"""A process with the real service and a machine, that kills itself at one step; see test_commands_kill.py.

    obedient.py WORK KILL_AT SOURCE ID...

SOURCE is `simulator`, or `press`, whose machine is the file `effects` in WORK: each execution is a line.
Each answer is a line of `acks`, each step one of `steps`.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeml.config.schema import read
from edgeml.messages import Command, topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import Moment, boot_id, to_iso
from sensor_ingestion.checkpoint import Checkpoint
from sensor_ingestion.command_journal import CommandJournal
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.service import SensorIngestion
from sensor_ingestion.sources import SOURCES, SourceType
from sensor_ingestion.sources.base import Channel, RowBlock
from tests.fake_bus import FakeBus

WORK, KILL_AT = Path(sys.argv[1]), int(sys.argv[2])


def line(name: str, text: str) -> None:
    with (WORK / name).open("a") as file:
        file.write(text + "\n")


class Steps:
    """Attributes: number: steps so far; id: of the command at hand."""

    def __init__(self) -> None:
        self.number, self.id = 0, ""

    def step(self, what: str) -> None:
        self.number += 1
        line("steps", what)
        if self.number == KILL_AT:
            os.kill(os.getpid(), signal.SIGKILL)


steps = Steps()


class NoOptions(msgspec.Struct, frozen=True):
    pass


class Press:
    """A machine outside the process: its actions survive a kill."""

    channels = (Channel("force", "kN"),)
    paced, finished, own_time, faults = False, False, False, ()

    def __init__(self, *_: Any) -> None:
        self.actions = {"stop": self._stop}

    def _stop(self) -> None:
        steps.step("act")
        line("effects", steps.id)
        steps.step("acted")

    def read(self, now: float, most: int) -> RowBlock:
        return RowBlock(np.array([time.time_ns()]), np.ones((1, 1), "f4"))

    def wait(self, now: float, most: int) -> float:
        return 1.0

    def checkpoint(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def stepped(do: Any, name: Callable[..., str]) -> Any:
    def stepping(*arguments: Any) -> Any:
        what = name(*arguments)
        steps.step(f"before {what}")
        result = do(*arguments)
        steps.step(f"after {what}")
        return result

    return stepping


def main() -> None:
    CommandJournal._do = stepped(CommandJournal._do, lambda _, sql, *__: sql.split()[0])  # type: ignore[method-assign]
    Checkpoint.save = stepped(Checkpoint.save, lambda *_: "checkpoint")  # type: ignore[method-assign]
    SOURCES["press"] = SourceType(NoOptions, Press)
    bus = FakeBus()
    bus.on_publish = steps.step
    context = ComponentContext(bus=bus, component="com.edgeml.SensorIngestion", thing="t", work=WORK, artifacts=WORK)
    service = SensorIngestion(context, read(SensorIngestionOptions, {"assets": {"a": {"source": sys.argv[3]}}}))
    service.tick(time.monotonic())  # a first checkpoint
    for id in sys.argv[4:]:
        steps.id = id
        now = Moment(time.time_ns(), time.monotonic(), boot_id())
        command = Command(
            id=id,
            asset="a",
            action="stop",
            issued_at=to_iso(now.wall_ns),
            timeout_s=60.0,
            issued_monotonic_s=now.monotonic_s,
            boot=now.boot,
        )
        service.on_message(topics.COMMANDS, command)
        for ack in bus.take(topics.COMMANDS_ACK):
            line("acks", f"{ack.id} {ack.status}")
    service.close()


main()
