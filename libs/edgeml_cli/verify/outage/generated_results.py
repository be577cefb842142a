"""Generates deterministic results, and the alerts that the pure alarm policy derives from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.alarms.alarm_policy import AlarmPolicy, PolicyOptions
from edgeml.config.schema import read
from edgeml.messages import ResultBlock, ResultColumns
from edgeml.timestamps import SECOND, to_iso

T0 = 1_800_000_000 * SECOND
ASSET, MODEL, VERSION, STREAM = "pump-1", "made", "1.0.0", "inference-1"
CHANNELS = ("flow", "pressure")


class GeneratedResults:
    """One result a second. The asset is faulty in every other span of `span_s` seconds; each change is an alert for IoT Core.

    Args:
        rows: results per block.
        blocks: number of blocks.
    """

    def __init__(self, span_s: int, rows: int, blocks: int) -> None:
        self.span_s, self.rows, self.blocks = span_s, rows, blocks
        self.policy = PolicyOptions(votes=1, of=1, hold_s=0, clear_hold_s=0, cooldown_s=0)

    def options(self, **outbox: Any) -> AlertDispatcherOptions:
        """The options of an AlertDispatcher that reports every result."""
        actions: dict[str, Any] = {"iot_core": {}}
        return read(
            AlertDispatcherOptions, {"policy": msgspec.to_builtins(self.policy), "actions": actions, "report": {"interval_s": 0}, **outbox}
        )

    def block(self, number: int) -> ResultBlock:
        seconds = np.arange(number * self.rows, (number + 1) * self.rows)
        confidence = np.where(seconds // self.span_s % 2, 0.97, 0.05)
        times = T0 + seconds * SECOND
        columns = ResultColumns(
            times=times,
            starts=times - 60 * SECOND,
            score=confidence,
            confidence=confidence,
            reason=np.zeros(self.rows, "u1"),
            deviations=np.tile((-6.0, 4.0), (self.rows, 1)),
            latency_us=np.full((self.rows, 2), 100.0),
        )
        packed: dict[str, Any] = columns.packed()
        return ResultBlock(
            asset=ASSET,
            stream=STREAM,
            seq=number,
            model=MODEL,
            model_version=VERSION,
            digest="ab" * 32,
            answers_stream="sensors-1",
            answers_seq=number,
            complete=True,
            channels=CHANNELS,
            reasons=(),
            **packed,
        )

    def since(self, ns: int) -> Iterator[ResultBlock]:
        """The blocks of a replay from an event time on."""
        first = max(0, (ns - T0) // SECOND // self.rows) if ns else 0
        for number in range(int(first), self.blocks):
            yield self.block(number)

    def alerts(self, raised_only: bool = True) -> list[tuple[str, str, str]]:
        """(id, state, time) of the alerts that the policy derives: those for IoT Core, or all."""
        policy = AlarmPolicy(self.policy, ASSET, MODEL, None)
        found = []
        for number in range(self.blocks):
            block = self.block(number)
            columns = block.arrays()
            for change in policy.evaluate_block(block.answers_stream, columns.times.tolist(), columns.confidence.tolist()).changes:
                if change.alarm.raised_at is not None or not raised_only:
                    found.append((change.alarm.id, change.alarm.state, to_iso(change.at)))
        return found

    def times(self) -> list[str]:
        """The event time of every result."""
        return [to_iso(T0 + second * SECOND) for second in range(self.rows * self.blocks)]
