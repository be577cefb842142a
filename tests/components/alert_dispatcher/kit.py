"""Fixtures of the tests of AlertDispatcher: a bus that records messages, clocks advanced by hand, generated results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.service import AlertDispatcher
from edgeml.config.schema import read
from edgeml.messages import Acknowledge, Alert, Command, CommandAck, Message, ResultBlock, ResultColumns, packed_explanations, topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND
from tests.fake_bus import FakeBus

T0 = 1_583_748_000 * SECOND
CHANNELS = ("flow", "pressure", "current")
POLICY = {"votes": 3, "of": 5, "hold_s": 4, "clear_hold_s": 3, "cooldown_s": 20}
ALARM = [0.0] * 5 + [0.97] * 10 + [0.0] * 10
"""Pending at 7 s, active at 11 s, cleared at 18 s."""


class Killed(BaseException):
    """Ends the process under test, as kill -9 would."""


class Bench:
    """One AlertDispatcher, with restarts; `now` is both clocks, in seconds, but that the wall clock was set by `set_by`.

    IoT Core echoes every message, unless `mute`.
    """

    def __init__(self, work: Path, **configuration: Any) -> None:
        self.work = work
        self.bus = FakeBus()
        self.now, self.set_by = 1000.0, 0.0
        self.mute, self._echoed = False, 0
        self.seq = 0
        self.options = read(AlertDispatcherOptions, {"policy": POLICY, "outbox": {"reserve_alerts": 0}, **configuration})
        self.restart()

    def restart(self) -> None:
        context = ComponentContext(
            bus=self.bus,
            component="com.edgeml.AlertDispatcher",
            thing="gateway",
            work=self.work,
            artifacts=self.work,
            monotonic=lambda: self.now,
            wall_ns=lambda: int((self.now + self.set_by) * SECOND),
        )
        self.service = AlertDispatcher(context, self.options)
        self.service.start()

    def kill(self) -> None:
        """End the process: uncommitted data and the file's lock are gone."""
        self.service._store.close()

    def give(self, topic: str, message: Message) -> None:
        self.service.on_message(topic, message)
        self.tick()

    def tick(self) -> None:
        """Ticks until no more echoes come."""
        while True:
            self.service.tick(self.now)
            fresh, self._echoed = self.bus.cloud[self._echoed :], len(self.bus.cloud)
            echoes = [payload for topic, payload in fresh if topic in self.service.echo_topics and not self.mute]
            if not echoes:
                return
            for payload in echoes:
                self.service.on_echo(payload)

    def results(self, confidences: list[float | None], start: int = 0, **changes: Any) -> None:
        """One block, its first row of second `start`."""
        self.give(topics.RESULTS, results(confidences, start, self.seq, **changes))
        self.seq += 1

    def raise_alarm(self) -> str:
        """Feed 12 s up to an active alarm; returns its id."""
        self.results(ALARM[:12])
        alerts = self.alerts()
        assert [alert.state for alert in alerts] == ["pending", "active"]
        return alerts[-1].id

    def acknowledge(self, alarm: str, topic: str = topics.ALERTS_ACK) -> None:
        self.give(topic, Acknowledge(alarm=alarm, by="Ada", note="on my way"))

    def answer(self, command: Command, status: str = "executed", detail: str = "") -> None:
        self.give(topics.COMMANDS_ACK, CommandAck(id=command.id, asset=command.asset, status=status, detail=detail))

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Turn the clock on, with a tick at every step."""
        for _ in range(round(seconds / step)):
            self.now += step
            self.tick()

    def alerts(self) -> list[Alert]:
        return self.bus.messages(topics.ALERTS)

    def commands(self) -> list[Command]:
        return self.bus.messages(topics.COMMANDS)


def results(
    confidences: list[float | None],
    start: int = 0,
    seq: int = 0,
    *,
    asset: str = "pump-1",
    stream: str = "inference-1",
    answers: str = "sensors-1",
    deviations: tuple[float, ...] = (-6.2, 4.1, 0.5),
    model: str = "skab",
    why: list[str] | None = None,
) -> ResultBlock:
    """A block of one result a second; None is "no decision: learning". `why`: the explanations of a model that has some."""
    n = len(confidences)
    times = T0 + (start + np.arange(n)) * SECOND
    decided = np.array([c is not None for c in confidences])
    values = np.array([np.nan if c is None else c for c in confidences])
    columns = ResultColumns(
        times=times,
        starts=times - 60 * SECOND,
        score=values,
        confidence=values,
        reason=np.where(decided, 0, 1),
        deviations=np.tile(deviations, (n, 1)),
        latency_us=np.full((n, 2), 12.5),
    )
    return ResultBlock(
        asset=asset,
        stream=stream,
        seq=seq,
        model=model,
        model_version="1.2.0",
        digest="ab" * 32,
        answers_stream=answers,
        answers_seq=seq,
        complete=True,
        channels=CHANNELS,
        reasons=("learning",),
        **columns.packed(),
        **({} if why is None else packed_explanations(why)),
    )
